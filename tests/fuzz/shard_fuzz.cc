// Shards of arrays: CIFAR-10 binary, .npy, .npz and .pt, told apart by their
// first bytes as their endings would. quantctl's reader of the NumPy formats,
// which is code of its own, has to agree.
#include <cmath>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/quantctl/npy.h"
#include "quant/data/draw.h"
#include "quant/data/shard.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/mutate.h"

namespace quantserve::fuzz {
namespace {

ReadShardOptions Options() {
  ReadShardOptions options;
  options.max_bytes = 1 << 20;
  options.max_sample_bytes = 1 << 18;
  return options;
}

// Bytes of a sample of one input.
size_t SampleBytes(const Shard& shard, size_t input) {
  return static_cast<size_t>(shard.sample_elements(input)) *
         DTypeSize(shard.dtype(input));
}

std::string SampleOf(const Shard& shard, size_t input, int64_t sample) {
  const size_t bytes = SampleBytes(shard, input);
  return {
      shard.samples(input).data<char>() + bytes * static_cast<size_t>(sample),
      bytes};
}

void CheckValues(const Shard& shard, size_t input) {
  const Tensor& samples = shard.samples(input);
  if (shard.dtype(input) == DType::kF32) {
    for (const float v : samples.span<float>()) QS_FUZZ_CHECK(std::isfinite(v));
  } else if (shard.dtype(input) == DType::kI64) {
    for (const int64_t v : samples.span<int64_t>()) {
      QS_FUZZ_CHECK(v >= -(1 << 24) && v <= 1 << 24);
    }
  } else {
    QS_FUZZ_CHECK(shard.dtype(input) == DType::kU8);
  }
  std::vector<float> copied(static_cast<size_t>(samples.elements()));
  shard.Copy(input, 0, shard.size(), {}, absl::MakeSpan(copied));
}

void CheckShard(const Shard& shard) {
  QS_FUZZ_CHECK(shard.size() >= 1 && shard.size() <= shard.population());
  QS_FUZZ_CHECK(shard.num_inputs() >= 1);
  size_t bytes = 0;
  for (size_t i = 0; i < shard.num_inputs(); ++i) {
    Shape shape = shard.sample_shape(i);
    shape.insert(shape.begin(), shard.size());
    QS_FUZZ_CHECK(shard.samples(i).shape() == shape);
    QS_FUZZ_CHECK(shard.samples(i).elements() == NumElements(shape).value());
    bytes += shard.samples(i).bytes();
    CheckValues(shard, i);
  }
  QS_FUZZ_CHECK(static_cast<int64_t>(bytes) <= Options().max_sample_bytes);
  QS_FUZZ_CHECK(!shard.has_labels() ||
                static_cast<int64_t>(shard.labels().size()) == shard.size());
  for (const int64_t label : shard.labels()) QS_FUZZ_CHECK(label >= 0);
}

// Two samples drawn of more are two of those that all of them have.
void CheckDrawn(const std::string& path, const Shard& all) {
  if (all.size() != all.population() || all.size() <= 2) return;
  ReadShardOptions options = Options();
  options.max_samples = 2;
  options.seed = 7;
  const auto drawn = ReadShard(path, options);
  QS_FUZZ_CHECK(drawn.ok() && drawn->size() == 2);
  const std::vector<int64_t> numbers = ReservoirSample(all.size(), 2, 7);
  for (size_t i = 0; i < all.num_inputs(); ++i) {
    for (int64_t s = 0; s < 2; ++s) {
      QS_FUZZ_CHECK(SampleOf(*drawn, i, s) == SampleOf(all, i, numbers[s]));
    }
  }
}

std::string NpyFile(const Shard& shard) {
  const DType dtype = shard.dtype();
  const std::string header =
      absl::StrCat("{'descr': '",
                   dtype == DType::kU8    ? "|u1"
                   : dtype == DType::kF32 ? "<f4"
                                          : "<i8",
                   "', 'fortran_order': False, 'shape': (",
                   absl::StrJoin(shard.samples().shape(), ", "), ",), }\n");
  std::string file("\x93NUMPY\x01\x00", 8);
  file.push_back(static_cast<char>(header.size() & 0xff));
  file.push_back(static_cast<char>(header.size() >> 8));
  return absl::StrCat(
      file, header,
      absl::string_view(shard.samples().data<char>(), shard.samples().bytes()));
}

// The first input as a .npy file reads as it was.
void CheckRoundTrip(const Shard& shard) {
  static const auto& file = *new MemoryFile("again.npy");
  file.Write(NpyFile(shard));
  const auto again = ReadShard(file.path(), Options());
  QS_FUZZ_CHECK(again.ok());
  QS_FUZZ_CHECK(again->samples().shape() == shard.samples().shape());
  QS_FUZZ_CHECK(again->dtype() == shard.dtype());
  for (int64_t s = 0; s < shard.size(); ++s) {
    QS_FUZZ_CHECK(SampleOf(*again, 0, s) == SampleOf(shard, 0, s));
  }
}

// What quantctl would send of sample `index`. Where the server's reader and it
// both take a file, they take the same from it.
void CheckClient(const std::string& path, const absl::StatusOr<Shard>& shard,
                 int64_t index) {
  const auto samples = ReadNumPyFile(path, index);
  if (!samples.ok()) return CheckRefusal(samples.status());
  for (const NpySample& sample : *samples) {
    const int64_t width = sample.dtype == v1::FP32    ? 4
                          : sample.dtype == v1::INT64 ? 8
                                                      : 1;
    QS_FUZZ_CHECK(static_cast<int64_t>(sample.data.size()) ==
                  NumElements(sample.shape).value() * width);
  }
  if (!shard.ok() || shard->size() != shard->population() ||
      shard->num_inputs() != samples->size()) {
    return;
  }
  for (size_t i = 0; i < samples->size(); ++i) {
    const NpySample& sample = (*samples)[i];
    // Of a dozen names either takes the first that it likes.
    if (sample.shape != shard->sample_shape(i)) return;
    QS_FUZZ_CHECK((sample.dtype == v1::UINT8) ==
                  (shard->dtype(i) == DType::kU8));
    QS_FUZZ_CHECK(sample.data == SampleOf(*shard, i, index));
  }
}

void CheckAs(const MemoryFile& file, absl::string_view bytes, bool client) {
  file.Write(bytes);
  const auto shard = ReadShard(file.path(), Options());
  if (shard.ok()) {
    CheckShard(*shard);
    CheckDrawn(file.path(), *shard);
    CheckRoundTrip(*shard);
  } else {
    CheckRefusal(shard.status());
  }
  if (!client) return;
  CheckClient(file.path(), shard, 0);
  if (shard.ok() && shard->size() > 1) CheckClient(file.path(), shard, 1);
}

}  // namespace
}  // namespace quantserve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  return quantserve::fuzz::MutateZip(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quantserve::fuzz::CheckAs;
  using quantserve::fuzz::MemoryFile;
  static const auto& npy = *new MemoryFile("shard.npy");
  static const auto& npz = *new MemoryFile("shard.npz");
  static const auto& pt = *new MemoryFile("shard.pt");
  static const auto& bin = *new MemoryFile("shard.bin");
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (absl::StartsWith(bytes, "PK")) {
    CheckAs(npz, bytes, true);
    CheckAs(pt, bytes, false);
  } else if (absl::StartsWith(bytes, "\x93NUMPY")) {
    CheckAs(npy, bytes, true);
  } else {
    CheckAs(bin, bytes, false);
    CheckAs(pt, bytes, false);
  }
  return 0;
}
