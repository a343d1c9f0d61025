#include "server/rpc/tensor_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

// The wire is little-endian and so are we: bytes become floats as they lie.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

namespace quantserve {
namespace {

// Callers may send anything: what a message repeats of it is bounded.
std::string Quoted(const std::string& name) {
  constexpr size_t kLongest = 64;
  return absl::StrCat("\"", absl::CEscape(name.substr(0, kLongest)),
                      name.size() > kLongest ? "…\"" : "\"");
}

std::string Printable(const google::protobuf::RepeatedField<int64_t>& shape) {
  constexpr int kLongest = 8;
  if (shape.size() <= kLongest) {
    return ShapeString({shape.data(), static_cast<size_t>(shape.size())});
  }
  std::string text = ShapeString({shape.data(), static_cast<size_t>(kLongest)});
  text.pop_back();
  return absl::StrCat(text, ",… ", shape.size(), " dimensions]");
}

std::string Wanted(const Shape& sample) {
  return absl::StrCat("[?", sample.empty() ? "" : ",",
                      ShapeString(sample).substr(1));
}

absl::StatusOr<DType> DecodeType(const v1::Tensor& tensor, bool integers,
                                 const std::string& name) {
  const v1::DataType dtype = tensor.dtype();
  if (integers && dtype == v1::INT64) return DType::kI64;
  if (!integers && dtype == v1::FP32) return DType::kF32;
  if (!integers && dtype == v1::UINT8) return DType::kU8;
  return absl::InvalidArgumentError(
      absl::StrCat("input ", name, " has dtype ", static_cast<int>(dtype),
                   integers ? ", want INT64 (3): it takes integers"
                            : ", want FP32 (1) or UINT8 (2)"));
}

// Up to where a float holds every integer.
constexpr int64_t kLargestInteger = 1 << 24;

absl::Status CheckIntegers(const std::string& data, int64_t in_sample,
                           const std::string& name) {
  for (size_t i = 0; i < data.size() / sizeof(int64_t); ++i) {
    int64_t value;
    std::memcpy(&value, data.data() + i * sizeof(value), sizeof(value));
    if (value >= -kLargestInteger && value <= kLargestInteger) continue;
    const auto element = static_cast<int64_t>(i);
    return absl::InvalidArgumentError(
        absl::StrCat("input ", name, " has ", value, " as element ",
                     element % in_sample, " of sample ", element / in_sample,
                     ", want ", -kLargestInteger, " to ", kLargestInteger));
  }
  return absl::OkStatus();
}

absl::Status CheckShape(const v1::Tensor& tensor, const TensorSpec& spec,
                        const std::string& name) {
  const auto& shape = tensor.shape();
  const auto rank = static_cast<int>(spec.shape.size());
  // Before the comparison, so that a product that overflows is called that.
  QS_RETURN_IF_ERROR([&]() -> absl::Status {
    const absl::Span<const int64_t> dims(shape.data(),
                                         static_cast<size_t>(shape.size()));
    if (NumElements(dims).ok()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("input ", name, " has shape ", Printable(shape),
                     ", which has a negative dimension or too many elements"));
  }());
  if (shape.size() != rank + 1 ||
      !std::equal(spec.shape.begin(), spec.shape.end(), shape.begin() + 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("input ", name, " has shape ", Printable(shape),
                     ", model wants ", Wanted(spec.shape)));
  }
  return absl::OkStatus();
}

absl::StatusOr<InferenceInput> DecodeTensor(const v1::Tensor& tensor,
                                            const TensorSpec& spec,
                                            const Preprocessing& preprocessing,
                                            int64_t max_batch) {
  const std::string name = absl::StrCat("\"", spec.name, "\"");
  QS_ASSIGN_OR_RETURN(const DType dtype,
                      DecodeType(tensor, spec.integers, name));
  QS_RETURN_IF_ERROR(CheckShape(tensor, spec, name));
  const int64_t batch = tensor.shape(0);
  if (batch < 1 || batch > max_batch) {
    return absl::InvalidArgumentError(
        absl::StrCat("input ", name, " has a batch of ", batch,
                     " samples, want 1 to ", max_batch));
  }
  const auto want =
      static_cast<size_t>(batch * spec.elements()) * DTypeSize(dtype);
  if (tensor.data().size() != want) {
    return absl::InvalidArgumentError(absl::StrCat(
        "input ", name, " has ", tensor.data().size(), " bytes, ",
        Printable(tensor.shape()), " of ", DTypeName(dtype), " wants ", want));
  }
  if (dtype == DType::kI64) {
    QS_RETURN_IF_ERROR(CheckIntegers(tensor.data(), spec.elements(), name));
  }
  if (dtype == DType::kU8) {
    const absl::Status valid =
        preprocessing.Validate(spec.shape.empty() ? 1 : spec.shape[0]);
    if (!valid.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("input ", name,
                       " is uint8, but the model's preprocessing does not fit "
                       "it: ",
                       valid.message()));
    }
  }
  return InferenceInput{dtype, tensor.data().data()};
}

// The spec's number in the model's order.
absl::StatusOr<size_t> FindSpec(const v1::Tensor& tensor,
                                const std::vector<TensorSpec>& specs) {
  if (tensor.name().empty() && specs.size() == 1) return 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == tensor.name()) return i;
  }
  std::string names;
  for (const TensorSpec& spec : specs) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", spec.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("the model has no input ",
                                                 Quoted(tensor.name()),
                                                 ", its inputs are: ", names));
}

}  // namespace

absl::StatusOr<DecodedInputs> DecodeInputs(const v1::PredictRequest& request,
                                           const std::vector<TensorSpec>& specs,
                                           const Preprocessing& preprocessing,
                                           int64_t max_batch) {
  if (request.inputs_size() != static_cast<int>(specs.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("the request has ", request.inputs_size(),
                     " inputs, model wants ", specs.size()));
  }
  DecodedInputs decoded;
  decoded.inputs.resize(specs.size());
  for (const v1::Tensor& tensor : request.inputs()) {
    QS_ASSIGN_OR_RETURN(const size_t i, FindSpec(tensor, specs));
    if (decoded.inputs[i].data != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("input \"", specs[i].name, "\" is given twice"));
    }
    QS_ASSIGN_OR_RETURN(
        decoded.inputs[i],
        DecodeTensor(tensor, specs[i], preprocessing, max_batch));
    const int64_t batch = tensor.shape(0);
    if (decoded.batch != 0 && decoded.batch != batch) {
      return absl::InvalidArgumentError(
          absl::StrCat("input \"", specs[i].name, "\" has a batch of ", batch,
                       " samples, another input has ", decoded.batch));
    }
    decoded.batch = batch;
  }
  return decoded;
}

absl::InlinedVector<float*, 2> MakeOutputs(const std::vector<TensorSpec>& specs,
                                           int64_t batch,
                                           v1::PredictResponse* response) {
  absl::InlinedVector<float*, 2> pointers;
  for (const TensorSpec& spec : specs) {
    v1::Tensor* tensor = response->add_outputs();
    tensor->set_name(spec.name);
    tensor->set_dtype(v1::FP32);
    tensor->add_shape(batch);
    for (int64_t dim : spec.shape) tensor->add_shape(dim);
    std::string* data = tensor->mutable_data();
    data->resize(static_cast<size_t>(batch * spec.elements()) * sizeof(float));
    // A string's bytes are as aligned as new's, or, in its inline buffer, as
    // its pointers: enough for float.
    pointers.push_back(reinterpret_cast<float*>(data->data()));
  }
  return pointers;
}

absl::Status CheckTopK(int32_t top_k, const std::vector<TensorSpec>& specs) {
  const int64_t most = specs.empty() ? 0 : specs[0].elements();
  if (top_k >= 0 && top_k <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("top_k is ", top_k, ", want 0 to ", most));
}

void AddTopK(absl::Span<const float> outputs, int64_t batch, int32_t k,
             const std::vector<std::string>& names,
             v1::PredictResponse* response) {
  if (k == 0 || batch == 0) return;
  const size_t width = outputs.size() / static_cast<size_t>(batch);
  std::vector<int64_t> order(width);
  for (int64_t sample = 0; sample < batch; ++sample) {
    const absl::Span<const float> row = outputs.subspan(sample * width, width);
    const auto key = [row](int64_t i) {
      return std::isnan(row[i]) ? -std::numeric_limits<float>::infinity()
                                : row[i];
    };
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + k, order.end(),
                      [&key](int64_t a, int64_t b) {
                        return key(a) != key(b) ? key(a) > key(b) : a < b;
                      });
    v1::TopK* top = response->add_top_k();
    for (int32_t i = 0; i < k; ++i) {
      v1::TopEntry* entry = top->add_entries();
      entry->set_index(order[i]);
      entry->set_score(row[order[i]]);
      if (!names.empty()) entry->set_label(names[order[i]]);
    }
  }
}

}  // namespace quantserve
