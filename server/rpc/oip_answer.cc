#include "server/rpc/oip_answer.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quant/base/status_macros.h"
#include "server/rpc/oip_codec.h"
#include "server/rpc/oip_parameters.h"
#include "server/rpc/tensor_codec.h"

namespace quantserve {
namespace {

constexpr char kBytes[] = "BYTES";
constexpr char kClassification[] = "classification";

int64_t Microseconds(const google::protobuf::Duration& duration) {
  return duration.seconds() * 1000000 + duration.nanos() / 1000;
}

inference::ModelInferResponse::InferOutputTensor* Describe(
    const v1::Tensor& tensor, const char* datatype,
    inference::ModelInferResponse* out) {
  auto* output = out->add_outputs();
  output->set_name(tensor.name());
  output->set_datatype(datatype);
  return output;
}

void AddOutput(v1::Tensor* tensor, inference::ModelInferResponse* out) {
  *Describe(*tensor, "FP32", out)->mutable_shape() = tensor->shape();
  out->add_raw_output_contents(std::move(*tensor->mutable_data()));
}

// The largest of each sample as strings, "VALUE:INDEX:LABEL"; each with its
// length before it.
void AddClasses(const v1::Tensor& tensor, int64_t classes,
                const std::vector<std::string>& names,
                inference::ModelInferResponse* out) {
  const int64_t batch = tensor.shape(0);
  std::vector<float> values(tensor.data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
  const auto most = static_cast<int64_t>(values.size()) / batch;
  v1::PredictResponse top;
  AddTopK(values, batch, static_cast<int32_t>(std::min(classes, most)), names,
          &top);
  std::string data;
  for (const v1::TopK& sample : top.top_k()) {
    for (const v1::TopEntry& entry : sample.entries()) {
      std::string text = absl::StrFormat("%f:%d", entry.score(), entry.index());
      if (!entry.label().empty()) absl::StrAppend(&text, ":", entry.label());
      const auto size = static_cast<uint32_t>(text.size());
      data.append(reinterpret_cast<const char*>(&size), sizeof(size));
      data += text;
    }
  }
  auto* output = Describe(tensor, kBytes, out);
  output->add_shape(batch);
  output->add_shape(std::min(classes, most));
  out->add_raw_output_contents(std::move(data));
}

}  // namespace

absl::Status CheckOipOutputs(const inference::ModelInferRequest& request,
                             const std::vector<TensorSpec>& specs) {
  std::set<std::string> left;
  std::string names;
  for (const TensorSpec& spec : specs) {
    left.insert(spec.name);
    absl::StrAppend(&names, names.empty() ? "" : ", ", spec.name);
  }
  for (const auto& output : request.outputs()) {
    if (left.erase(output.name()) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model has no output ", Quoted(output.name()),
                       ", or it is asked for twice; its outputs are: ", names));
    }
    QS_ASSIGN_OR_RETURN(const int64_t classes,
                        IntegerOf(output.parameters(), kClassification, 1));
    if (classes >= 1) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "parameter classification of output ", Quoted(output.name()), " is ",
        classes, ", want 1 or more"));
  }
  return absl::OkStatus();
}

void ToOip(const inference::ModelInferRequest& request,
           const std::vector<std::string>& class_names,
           v1::PredictResponse* response, inference::ModelInferResponse* out) {
  out->set_model_name(response->model());
  const auto variant = ParseVariant(response->variant());
  out->set_model_version(
      VersionOf(variant.value_or(VariantId::kFp32), request.model_version()));
  auto& parameters = *out->mutable_parameters();
  parameters["generation"].set_int64_param(response->generation());
  parameters["batch_size"].set_int64_param(response->batch_size());
  parameters["queue_us"].set_int64_param(Microseconds(response->queue_time()));
  parameters["compute_us"].set_int64_param(
      Microseconds(response->compute_time()));
  if (request.outputs_size() == 0) {
    for (v1::Tensor& tensor : *response->mutable_outputs()) {
      AddOutput(&tensor, out);
    }
    return;
  }
  for (const auto& wanted : request.outputs()) {
    for (v1::Tensor& tensor : *response->mutable_outputs()) {
      if (tensor.name() != wanted.name()) continue;
      const auto classes = IntegerOf(wanted.parameters(), kClassification, 0);
      if (!classes.ok() || *classes == 0) {
        AddOutput(&tensor, out);
        continue;
      }
      const bool first = &tensor == &response->outputs(0);
      AddClasses(tensor, *classes,
                 first ? class_names : std::vector<std::string>(), out);
    }
  }
}

void TakeBack(inference::ModelInferResponse* from,
              v1::PredictResponse* response) {
  for (int i = 0; i < from->outputs_size(); ++i) {
    for (v1::Tensor& tensor : *response->mutable_outputs()) {
      if (tensor.name() != from->outputs(i).name() ||
          from->outputs(i).datatype() == kBytes) {
        continue;
      }
      tensor.mutable_data()->swap(*from->mutable_raw_output_contents(i));
    }
  }
}

}  // namespace quantserve
