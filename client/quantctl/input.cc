#include "client/quantctl/input.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/quantctl/command.h"
#include "client/quantctl/image.h"
#include "client/quantctl/npy.h"

ABSL_FLAG(std::string, image, "",
          "Image file (JPEG, PNG, BMP); it is resized to the model's "
          "input and sent as raw pixels.");
ABSL_FLAG(
    std::string, shard, "",
    "predict, bench: file on this machine, of which --index tells the "
    "sample: .npy, .npz (\"x\", or \"input_0\", \"input_1\" … of a model "
    "with several inputs), else CIFAR-10 binary. quantize, evaluate: name "
    "of a shard of the server; default: the configured one.");
ABSL_FLAG(int64_t, index, 0, "Number of the shard's sample, from 0.");
ABSL_FLAG(std::string, raw, "",
          "File with the elements of one or more samples, row-major, "
          "little-endian.");
ABSL_FLAG(std::string, dtype, "fp32",
          "What --raw holds: fp32 (preprocessed) or uint8 (raw pixels).");

namespace quantserve {
namespace {

// Records of CIFAR-10 binary: a label, then planes of red, green and blue.
constexpr int64_t kRecord = 3073;

int64_t Elements(const v1::TensorSpec& spec) {
  int64_t n = 1;
  for (int64_t dim : spec.shape()) n *= dim;
  return n;
}

std::string ShapeText(const v1::TensorSpec& spec) {
  return absl::StrCat("[", absl::StrJoin(spec.shape(), ","), "]");
}

v1::Tensor MakeTensor(const v1::TensorSpec& spec, v1::DataType dtype,
                      int64_t batch, std::string data) {
  v1::Tensor tensor;
  tensor.set_name(spec.name());
  tensor.set_dtype(dtype);
  tensor.add_shape(batch);
  for (int64_t dim : spec.shape()) tensor.add_shape(dim);
  tensor.set_data(std::move(data));
  return tensor;
}

absl::StatusOr<std::string> ReadBytes(const std::string& path, int64_t first,
                                      int64_t count) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(first);
  std::string bytes(static_cast<size_t>(count), '\0');
  if (!file.read(bytes.data(), count)) {
    return UsageError(absl::StrCat("cannot read ", path));
  }
  return bytes;
}

absl::StatusOr<int64_t> FileSize(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return UsageError(absl::StrCat("no file ", path));
  }
  return static_cast<int64_t>(std::filesystem::file_size(path, error));
}

absl::StatusOr<Input> FromImage(const v1::TensorSpec& spec,
                                const std::string& path) {
  const auto& shape = spec.shape();
  if (shape.size() != 3 || (shape[0] != 1 && shape[0] != 3) ||
      shape[1] > 16384 || shape[2] > 16384) {
    return UsageError(absl::StrCat("the model takes ", ShapeText(spec),
                                   ", no image of 1 or 3 channels"));
  }
  auto pixels =
      ReadImage(path, static_cast<int>(shape[0]), static_cast<int>(shape[1]),
                static_cast<int>(shape[2]));
  if (!pixels.ok()) return UsageError(pixels.status().message());
  return Input{{MakeTensor(spec, v1::UINT8, 1, *std::move(pixels))}, {}};
}

absl::StatusOr<Input> FromShard(const v1::TensorSpec& spec,
                                const std::string& path, int64_t index) {
  if (ShapeText(spec) != "[3,32,32]") {
    return UsageError(absl::StrCat("the model takes ", ShapeText(spec),
                                   ", a CIFAR-10 shard holds [3,32,32]"));
  }
  const auto size = FileSize(path);
  if (!size.ok()) return size.status();
  if (*size == 0 || *size % kRecord != 0) {
    return UsageError(
        absl::StrCat(path, " has ", *size,
                     " bytes, want a CIFAR-10 shard: a multiple of ", kRecord));
  }
  if (index < 0 || index >= *size / kRecord) {
    return UsageError(absl::StrCat("flag --index is ", index, ", ", path,
                                   " has ", *size / kRecord, " samples"));
  }
  auto record = ReadBytes(path, index * kRecord, kRecord);
  if (!record.ok()) return record.status();
  return Input{{MakeTensor(spec, v1::UINT8, 1, record->substr(1))},
               static_cast<unsigned char>((*record)[0])};
}

absl::StatusOr<Input> FromRaw(const v1::TensorSpec& spec,
                              const std::string& path,
                              const std::string& dtype) {
  if (dtype != "fp32" && dtype != "uint8") {
    return UsageError(
        absl::StrCat("flag --dtype is \"", dtype, "\", want fp32 or uint8"));
  }
  const int64_t sample = Elements(spec) * (dtype == "fp32" ? 4 : 1);
  const auto size = FileSize(path);
  if (!size.ok()) return size.status();
  if (*size == 0 || *size % sample != 0 || *size > (int64_t{1} << 30)) {
    return UsageError(absl::StrCat(path, " has ", *size, " bytes, a sample ",
                                   ShapeText(spec), " of ", dtype, " has ",
                                   sample));
  }
  auto bytes = ReadBytes(path, 0, *size);
  if (!bytes.ok()) return bytes.status();
  return Input{{MakeTensor(spec, dtype == "fp32" ? v1::FP32 : v1::UINT8,
                           *size / sample, *std::move(bytes))},
               {}};
}

absl::StatusOr<v1::Tensor> FromNumPy(const v1::TensorSpec& spec,
                                     NpySample sample,
                                     const std::string& path) {
  const auto& shape = spec.shape();
  const bool integers = spec.dtype() == v1::INT64;
  if (!std::equal(sample.shape.begin(), sample.shape.end(), shape.begin(),
                  shape.end()) ||
      integers != (sample.dtype == v1::INT64)) {
    return UsageError(absl::StrCat(
        path, " has samples [", absl::StrJoin(sample.shape, ","), "] of ",
        v1::DataType_Name(sample.dtype), ", the model's input ", spec.name(),
        " takes ", ShapeText(spec), " of ",
        integers ? "INT64" : "FP32 or UINT8"));
  }
  return MakeTensor(spec, sample.dtype, 1, std::move(sample.data));
}

absl::StatusOr<Input> FromNumPyFile(const v1::ModelStatus& model,
                                    const std::string& path, int64_t index) {
  auto samples = ReadNumPyFile(path, index);
  if (!samples.ok()) return UsageError(samples.status().message());
  if (static_cast<int>(samples->size()) != model.inputs_size()) {
    return UsageError(absl::StrCat(path, " has samples for ", samples->size(),
                                   " inputs, the model has ",
                                   model.inputs_size()));
  }
  Input input;
  for (int i = 0; i < model.inputs_size(); ++i) {
    auto tensor = FromNumPy(model.inputs(i), std::move((*samples)[i]), path);
    if (!tensor.ok()) return tensor.status();
    input.tensors.push_back(*std::move(tensor));
  }
  return input;
}

absl::StatusOr<v1::TensorSpec> OnlyInput(const v1::ModelStatus& model) {
  if (model.inputs_size() == 1 && model.inputs(0).dtype() != v1::INT64) {
    return model.inputs(0);
  }
  return UsageError(absl::StrCat(
      "the model has ", model.inputs_size(), " inputs, not one of numbers: ",
      "give --shard=FILE.npy, or FILE.npz with input_0, input_1 …"));
}

// Pixels where that may be, so that the server's preprocessing applies.
v1::Tensor Noise(const v1::TensorSpec& spec, bool only, std::mt19937* random) {
  const auto count = static_cast<size_t>(Elements(spec));
  std::string data;
  if (spec.dtype() != v1::INT64 && (only || spec.shape_size() == 3)) {
    for (size_t i = 0; i < count; ++i) {
      data.push_back(static_cast<char>((*random)()));
    }
    return MakeTensor(spec, v1::UINT8, 1, std::move(data));
  }
  const auto append = [&data](auto value) {
    data.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const bool integers = spec.dtype() == v1::INT64;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = (*random)();
    if (integers) {
      append(int64_t{bits & 1});
    } else {
      append(static_cast<float>(bits) * 0x1p-31F - 1);
    }
  }
  return MakeTensor(spec, integers ? v1::INT64 : v1::FP32, 1, std::move(data));
}

}  // namespace

FlagGroup InputFlags() {
  return {"Input, one of", {"image", "shard", "index", "raw", "dtype"}};
}

absl::StatusOr<std::optional<Input>> ReadInput(const v1::ModelStatus& model) {
  const std::string image = absl::GetFlag(FLAGS_image);
  const std::string shard = absl::GetFlag(FLAGS_shard);
  const std::string raw = absl::GetFlag(FLAGS_raw);
  const int named = !image.empty() + !shard.empty() + !raw.empty();
  if (named == 0) return std::nullopt;
  if (named > 1) {
    return UsageError("give one of --image, --shard and --raw");
  }
  if (IsNumPyFile(shard)) {
    return FromNumPyFile(model, shard, absl::GetFlag(FLAGS_index));
  }
  const auto spec = OnlyInput(model);
  if (!spec.ok()) return spec.status();
  if (!image.empty()) return FromImage(*spec, image);
  if (!raw.empty()) return FromRaw(*spec, raw, absl::GetFlag(FLAGS_dtype));
  return FromShard(*spec, shard, absl::GetFlag(FLAGS_index));
}

Input RandomInput(const v1::ModelStatus& model) {
  std::mt19937 random(1);
  Input input;
  for (const v1::TensorSpec& spec : model.inputs()) {
    input.tensors.push_back(Noise(spec, model.inputs_size() == 1, &random));
  }
  return input;
}

void AddInputs(const Input& input, v1::PredictRequest* request) {
  for (const v1::Tensor& tensor : input.tensors) {
    *request->add_inputs() = tensor;
  }
}

absl::StatusOr<v1::ModelStatus> AskForModel(Client* client) {
  v1::GetStatusRequest request;
  request.set_model(ModelFlag());
  const auto response = client->GetStatus(request);
  if (!response.ok()) return response.status();
  if (response->models_size() == 1) return response->models(0);
  std::string names;
  for (const v1::ModelStatus& model : response->models()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", model.name());
  }
  return UsageError(
      absl::StrCat("flag --model is missing, the server has several: ", names));
}

}  // namespace quantserve
