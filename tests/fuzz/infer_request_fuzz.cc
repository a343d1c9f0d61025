// The Open Inference Protocol's ModelInferRequests in protobuf's text format,
// turned into ours, decoded, and answered.
#include <cstring>

#include "google/protobuf/util/message_differencer.h"
#include "server/core/inference.h"
#include "server/rpc/oip_answer.h"
#include "server/rpc/oip_codec.h"
#include "server/rpc/tensor_codec.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/models.h"
#include "tests/fuzz/mutate.h"

namespace quantserve::fuzz {
namespace {

using google::protobuf::util::MessageDifferencer;

// The same inputs as raw contents, which mean the same.
inference::ModelInferRequest WithRawContents(
    const inference::ModelInferRequest& request, const v1::PredictRequest& as) {
  inference::ModelInferRequest raw = request;
  raw.clear_raw_input_contents();
  for (int i = 0; i < raw.inputs_size(); ++i) {
    raw.mutable_inputs(i)->clear_contents();
    raw.add_raw_input_contents(as.inputs(i).data());
  }
  return raw;
}

void CheckTranslated(const inference::ModelInferRequest& request,
                     const v1::PredictRequest& ours) {
  QS_FUZZ_CHECK(ours.model() == request.model_name());
  QS_FUZZ_CHECK(ours.variant() == VariantOfVersion(request.model_version()));
  QS_FUZZ_CHECK(ours.inputs_size() == request.inputs_size());
  QS_FUZZ_CHECK(ours.priority() >= kLowestPriority &&
                ours.priority() <= kHighestPriority);
  v1::PredictRequest again;
  QS_FUZZ_CHECK(FromOip(WithRawContents(request, ours), &again).ok());
  QS_FUZZ_CHECK(MessageDifferencer::Equals(ours, again));
}

// As many strings as the shape says, each with its length before it, and
// nothing else.
void CheckStrings(const std::string& data, size_t count) {
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t size;
    QS_FUZZ_CHECK(data.size() - at >= sizeof(size));
    std::memcpy(&size, data.data() + at, sizeof(size));
    at += sizeof(size);
    QS_FUZZ_CHECK(data.size() - at >= size);
    at += size;
  }
  QS_FUZZ_CHECK(at == data.size());
}

void CheckReply(const inference::ModelInferRequest& request, const Model& model,
                int64_t batch) {
  const absl::Status wanted = CheckOipOutputs(request, model.outputs);
  if (!wanted.ok()) return CheckRefusal(wanted);
  v1::PredictResponse response;
  MakeOutputs(model.outputs, batch, &response);
  inference::ModelInferResponse reply;
  const std::vector<std::string> names(
      static_cast<size_t>(model.outputs[0].elements()), "name");
  ToOip(request, names, &response, &reply);
  const int outputs = request.outputs_size() > 0
                          ? request.outputs_size()
                          : static_cast<int>(model.outputs.size());
  QS_FUZZ_CHECK(reply.outputs_size() == outputs);
  QS_FUZZ_CHECK(reply.raw_output_contents_size() == outputs);
  for (int i = 0; i < outputs; ++i) {
    size_t count = 1;
    for (const int64_t dim : reply.outputs(i).shape()) count *= dim;
    const std::string& data = reply.raw_output_contents(i);
    if (reply.outputs(i).datatype() == "BYTES") {
      CheckStrings(data, count);
    } else {
      QS_FUZZ_CHECK(data.size() == count * sizeof(float));
    }
    QS_FUZZ_CHECK(request.outputs_size() == 0 ||
                  reply.outputs(i).name() == request.outputs(i).name());
  }
}

}  // namespace
}  // namespace quantserve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  inference::ModelInferRequest request;
  return quantserve::fuzz::MutateMessage(data, size, max_size, seed, &request);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantserve;
  using namespace quantserve::fuzz;
  inference::ModelInferRequest request;
  if (!ParseText({reinterpret_cast<const char*>(data), size}, &request)) {
    return 0;
  }
  absl::Duration timeout;
  const absl::Status timed = OipTimeout(request, &timeout);
  if (!timed.ok()) {
    CheckRefusal(timed);
  } else {
    QS_FUZZ_CHECK(timeout > absl::ZeroDuration());
  }
  v1::PredictRequest ours;
  const absl::Status translated = FromOip(request, &ours);
  if (!translated.ok()) {
    CheckRefusal(translated);
    return 0;
  }
  CheckTranslated(request, ours);
  for (const Model& model : Models()) {
    const auto decoded =
        DecodeInputs(ours, model.inputs, model.preprocessing, kMaxBatch);
    if (!decoded.ok()) {
      CheckRefusal(decoded.status());
      continue;
    }
    CheckReply(request, model, decoded->batch);
  }
  return 0;
}
