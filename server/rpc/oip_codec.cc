#include "server/rpc/oip_codec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "server/core/inference.h"
#include "server/rpc/oip_parameters.h"

namespace quantserve {
namespace {

using InputTensor = inference::ModelInferRequest::InferInputTensor;

absl::StatusOr<v1::DataType> ParseDatatype(const InputTensor& input) {
  if (input.datatype() == "FP32") return v1::FP32;
  if (input.datatype() == "UINT8") return v1::UINT8;
  if (input.datatype() == "INT64") return v1::INT64;
  return absl::InvalidArgumentError(
      absl::StrCat("input ", Quoted(input.name()), " has datatype ",
                   Quoted(input.datatype()), ", want FP32, UINT8 or INT64"));
}

int64_t CountContents(const inference::InferTensorContents& contents) {
  return int64_t{contents.bool_contents_size()} + contents.int_contents_size() +
         contents.int64_contents_size() + contents.uint_contents_size() +
         contents.uint64_contents_size() + contents.fp32_contents_size() +
         contents.fp64_contents_size() + contents.bytes_contents_size();
}

template <typename T>
std::string Bytes(const google::protobuf::RepeatedField<T>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          static_cast<size_t>(values.size()) * sizeof(T)};
}

// The elements as bytes; how many there are is checked with the shape.
absl::Status TypedContents(const InputTensor& input, v1::DataType dtype,
                           std::string* data) {
  const inference::InferTensorContents& contents = input.contents();
  int64_t used = 0;
  if (dtype == v1::FP32) {
    used = contents.fp32_contents_size();
    *data = Bytes(contents.fp32_contents());
  } else if (dtype == v1::INT64) {
    used = contents.int64_contents_size();
    *data = Bytes(contents.int64_contents());
  } else {
    used = contents.uint_contents_size();
    data->reserve(static_cast<size_t>(used));
    for (const uint32_t value : contents.uint_contents()) {
      if (value > 255) {
        return absl::InvalidArgumentError(
            absl::StrCat("input ", Quoted(input.name()), " has ", value,
                         " among its UINT8 elements, want 0 to 255"));
      }
      data->push_back(static_cast<char>(value));
    }
  }
  if (CountContents(contents) == used) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "input ", Quoted(input.name()),
      " has contents of another type than its datatype ", input.datatype()));
}

absl::Status CheckRaw(const inference::ModelInferRequest& request) {
  const int raw = request.raw_input_contents_size();
  if (raw == 0) return absl::OkStatus();
  if (raw != request.inputs_size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the request has ", raw, " raw_input_contents for ",
        request.inputs_size(), " inputs, want one for each or none"));
  }
  for (const InputTensor& input : request.inputs()) {
    if (CountContents(input.contents()) == 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("input ", Quoted(input.name()),
                     " has contents, but there are raw_input_contents as "
                     "well, want one of them"));
  }
  return absl::OkStatus();
}

// Theirs: 0 is the default, 1 the highest. Ours: the highest is 10.
int32_t Priority(int64_t theirs) {
  if (theirs <= 0) return 0;
  return static_cast<int32_t>(std::max<int64_t>(
      kHighestPriority + 1 - std::min<int64_t>(theirs, 1000), kLowestPriority));
}

void SetDuration(const CountedTime& from, inference::StatisticDuration* out) {
  out->set_count(from.count);
  out->set_ns(static_cast<uint64_t>(absl::ToInt64Nanoseconds(from.time)));
}

std::string NumberOf(VariantId id) {
  return absl::StrCat(static_cast<int>(id) + 1);
}

bool IsNumber(const std::string& version) {
  return VariantOfVersion(version) != version;
}

}  // namespace

std::string VariantOfVersion(const std::string& version) {
  for (const VariantId id : kAllVariants) {
    if (version == NumberOf(id)) return VariantName(id);
  }
  return version;
}

std::string VersionOf(VariantId id, const std::string& version,
                      VersionStyle otherwise) {
  const bool number =
      version.empty() ? otherwise == VersionStyle::kNumber : IsNumber(version);
  return number ? NumberOf(id) : VariantName(id);
}

absl::Status FromOip(const inference::ModelInferRequest& request,
                     v1::PredictRequest* out) {
  QS_RETURN_IF_ERROR(CheckRaw(request));
  out->set_model(request.model_name());
  out->set_variant(VariantOfVersion(request.model_version()));
  QS_ASSIGN_OR_RETURN(const int64_t priority,
                      IntegerOf(request.parameters(), "priority", 0));
  out->set_priority(Priority(priority));
  for (int i = 0; i < request.inputs_size(); ++i) {
    const InputTensor& input = request.inputs(i);
    v1::Tensor* tensor = out->add_inputs();
    tensor->set_name(input.name());
    QS_ASSIGN_OR_RETURN(const v1::DataType dtype, ParseDatatype(input));
    tensor->set_dtype(dtype);
    *tensor->mutable_shape() = input.shape();
    if (request.raw_input_contents_size() > 0) {
      tensor->set_data(request.raw_input_contents(i));
    } else {
      QS_RETURN_IF_ERROR(TypedContents(input, dtype, tensor->mutable_data()));
    }
  }
  return absl::OkStatus();
}

absl::Status OipTimeout(const inference::ModelInferRequest& request,
                        absl::Duration* timeout) {
  *timeout = absl::InfiniteDuration();
  QS_ASSIGN_OR_RETURN(const int64_t microseconds,
                      IntegerOf(request.parameters(), "timeout", 0));
  if (microseconds < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter timeout is ", microseconds,
                     ", want microseconds, or 0 for none"));
  }
  if (microseconds > 0) *timeout = absl::Microseconds(microseconds);
  return absl::OkStatus();
}

const char* OipDatatype(const TensorSpec& spec) {
  return spec.integers ? "INT64" : "FP32";
}

void ToOip(const InferenceStatistics::Sums& sums,
           inference::ModelStatistics* out) {
  out->set_last_inference(static_cast<uint64_t>(absl::ToUnixMillis(sums.last)));
  out->set_inference_count(sums.samples);
  out->set_execution_count(sums.batches.count);
  inference::InferStatistics* stats = out->mutable_inference_stats();
  SetDuration(sums.success, stats->mutable_success());
  SetDuration(sums.fail, stats->mutable_fail());
  SetDuration(sums.queue, stats->mutable_queue());
  SetDuration(sums.batches, stats->mutable_compute_infer());
  stats->mutable_compute_input();
  stats->mutable_compute_output();
  for (const auto& [size, time] : sums.by_batch_size) {
    inference::InferBatchStatistics* row = out->add_batch_stats();
    row->set_batch_size(static_cast<uint64_t>(size));
    SetDuration(time, row->mutable_compute_infer());
    row->mutable_compute_input();
    row->mutable_compute_output();
  }
}

}  // namespace quantserve
