// PredictRequests in protobuf's text format, decoded as requests for models of
// several kinds.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "server/rpc/tensor_codec.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/models.h"
#include "tests/fuzz/mutate.h"

namespace quantserve::fuzz {
namespace {

size_t Bytes(const DecodedInputs& decoded, const Model& model, size_t input) {
  return static_cast<size_t>(decoded.batch * model.inputs[input].elements()) *
         DTypeSize(decoded.inputs[input].dtype);
}

std::string Elements(const DecodedInputs& decoded, const Model& model,
                     size_t input) {
  return {static_cast<const char*>(decoded.inputs[input].data),
          Bytes(decoded, model, input)};
}

// What was decoded, in the model's order and with every name.
v1::PredictRequest Encode(const DecodedInputs& decoded, const Model& model) {
  v1::PredictRequest request;
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    const DType dtype = decoded.inputs[i].dtype;
    v1::Tensor* tensor = request.add_inputs();
    tensor->set_name(model.inputs[i].name);
    tensor->set_dtype(dtype == DType::kI64  ? v1::INT64
                      : dtype == DType::kU8 ? v1::UINT8
                                            : v1::FP32);
    tensor->add_shape(decoded.batch);
    for (const int64_t dim : model.inputs[i].shape) tensor->add_shape(dim);
    tensor->set_data(Elements(decoded, model, i));
  }
  return request;
}

// Whether the input is all of one of the request's tensors.
bool IsWhole(const InferenceInput& input, size_t bytes,
             const v1::PredictRequest& request) {
  return std::any_of(request.inputs().begin(), request.inputs().end(),
                     [&](const v1::Tensor& tensor) {
                       return tensor.data().data() == input.data &&
                              tensor.data().size() == bytes;
                     });
}

void CheckDecoded(const v1::PredictRequest& request,
                  const DecodedInputs& decoded, const Model& model) {
  QS_FUZZ_CHECK(decoded.batch >= 1 && decoded.batch <= kMaxBatch);
  QS_FUZZ_CHECK(decoded.inputs.size() == model.inputs.size());
  const v1::PredictRequest again = Encode(decoded, model);
  const auto twice =
      DecodeInputs(again, model.inputs, model.preprocessing, kMaxBatch);
  QS_FUZZ_CHECK(twice.ok() && twice->batch == decoded.batch);
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    QS_FUZZ_CHECK(
        IsWhole(decoded.inputs[i], Bytes(decoded, model, i), request));
    QS_FUZZ_CHECK(twice->inputs[i].dtype == decoded.inputs[i].dtype);
    QS_FUZZ_CHECK(Elements(*twice, model, i) == Elements(decoded, model, i));
    QS_FUZZ_CHECK(model.inputs[i].integers ==
                  (decoded.inputs[i].dtype == DType::kI64));
    if (!model.inputs[i].integers) continue;
    const std::string bytes = Elements(decoded, model, i);
    for (size_t at = 0; at < bytes.size(); at += sizeof(int64_t)) {
      int64_t number;
      std::memcpy(&number, bytes.data() + at, sizeof(number));
      QS_FUZZ_CHECK(std::abs(number) <= 1 << 24);
    }
  }
}

// The k largest of a sample, whatever floats there are.
void CheckTop(const v1::TopK& top, absl::Span<const float> row, int32_t k) {
  QS_FUZZ_CHECK(top.entries_size() == k);
  const auto order = [](float v) { return std::isnan(v) ? -INFINITY : v; };
  std::set<int64_t> seen;
  for (int i = 0; i < k; ++i) {
    const int64_t index = top.entries(i).index();
    QS_FUZZ_CHECK(index >= 0 && index < static_cast<int64_t>(row.size()));
    QS_FUZZ_CHECK(seen.insert(index).second);
    const float score = top.entries(i).score();
    QS_FUZZ_CHECK(std::memcmp(&score, &row[index], sizeof(score)) == 0);
    QS_FUZZ_CHECK(i == 0 || order(top.entries(i - 1).score()) >= order(score));
  }
  for (size_t i = 0; k > 0 && i < row.size(); ++i) {
    QS_FUZZ_CHECK(seen.count(static_cast<int64_t>(i)) > 0 ||
                  order(row[i]) <= order(top.entries(k - 1).score()));
  }
}

// The model returns what it gets, over and over.
void CheckReply(const DecodedInputs& decoded, const Model& model,
                int32_t top_k) {
  v1::PredictResponse response;
  const auto outputs = MakeOutputs(model.outputs, decoded.batch, &response);
  QS_FUZZ_CHECK(outputs.size() == model.outputs.size());
  const std::string bytes = Elements(decoded, model, 0);
  for (int o = 0; o < response.outputs_size(); ++o) {
    std::string* data = response.mutable_outputs(o)->mutable_data();
    QS_FUZZ_CHECK(
        data->size() ==
        static_cast<size_t>(decoded.batch * model.outputs[o].elements() * 4));
    QS_FUZZ_CHECK(reinterpret_cast<char*>(outputs[o]) == data->data());
    for (size_t i = 0; i < data->size(); ++i) {
      (*data)[i] = bytes[i % bytes.size()];
    }
  }
  const absl::Status valid = CheckTopK(top_k, model.outputs);
  if (!valid.ok()) return CheckRefusal(valid);
  const auto width = static_cast<size_t>(model.outputs[0].elements());
  const absl::Span<const float> scores(
      outputs[0], static_cast<size_t>(decoded.batch) * width);
  AddTopK(scores, decoded.batch, top_k, {}, &response);
  QS_FUZZ_CHECK(response.top_k_size() == (top_k == 0 ? 0 : decoded.batch));
  for (int i = 0; i < response.top_k_size(); ++i) {
    CheckTop(response.top_k(i), scores.subspan(i * width, width), top_k);
  }
}

// Most shapes and sizes that chance finds do not fit each other: so many bytes
// as the shape wants, if that is not too many.
void Mend(google::protobuf::Message* message) {
  for (v1::Tensor& tensor :
       *static_cast<v1::PredictRequest*>(message)->mutable_inputs()) {
    int64_t bytes = tensor.dtype() == v1::INT64   ? 8
                    : tensor.dtype() == v1::UINT8 ? 1
                                                  : 4;
    for (const int64_t dim : tensor.shape()) {
      if (dim < 0 || dim > 64 || bytes > 4096) return;
      bytes *= dim;
    }
    if (bytes <= 4096) tensor.mutable_data()->resize(bytes);
  }
}

}  // namespace
}  // namespace quantserve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  quantserve::v1::PredictRequest request;
  return quantserve::fuzz::MutateMessage(data, size, max_size, seed, &request,
                                         quantserve::fuzz::Mend);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantserve;
  using namespace quantserve::fuzz;
  v1::PredictRequest request;
  if (!ParseText({reinterpret_cast<const char*>(data), size}, &request)) {
    return 0;
  }
  for (const Model& model : Models()) {
    const auto decoded =
        DecodeInputs(request, model.inputs, model.preprocessing, kMaxBatch);
    if (!decoded.ok()) {
      CheckRefusal(decoded.status());
      continue;
    }
    CheckDecoded(request, *decoded, model);
    CheckReply(*decoded, model, request.top_k());
  }
  return 0;
}
