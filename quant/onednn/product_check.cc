#include "quant/onednn/product_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/huge_region.h"

namespace quantserve::onednn {
namespace {

constexpr int kRandomOutputs = 160;

// Logical numbers of a tensor of any type, and its row-major bytes.
struct Numbers {
  std::vector<float> values;
  std::vector<std::byte> bytes;
};

template <typename T>
void Store(float value, std::byte* to) {
  const T t = static_cast<T>(value);
  std::memcpy(to, &t, sizeof(t));
}

float RoundToBf16(float value) {
  uint16_t half;
  float back;
  BaselineKernels().float_to_bf16(1, &value, &half);
  BaselineKernels().bf16_to_float(1, &half, &back);
  return back;
}

Numbers Random(int64_t count, ElementType type, std::mt19937* random) {
  Numbers numbers;
  const int64_t size = ElementBytes(type);
  numbers.values.resize(count);
  numbers.bytes.resize(count * size);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = (*random)();
    float value = static_cast<float>(bits % 65536) / 32768 - 1;
    std::byte* to = &numbers.bytes[i * size];
    switch (type) {
      case ElementType::kF32:
        Store<float>(value, to);
        break;
      case ElementType::kBF16: {
        value = RoundToBf16(value);
        uint16_t half;
        BaselineKernels().float_to_bf16(1, &value, &half);
        std::memcpy(to, &half, sizeof(half));
        break;
      }
      case ElementType::kU8:
        value = static_cast<float>(bits % 256);
        Store<uint8_t>(value, to);
        break;
      case ElementType::kS8:
        value = static_cast<float>(static_cast<int>(bits % 256) - 128);
        Store<int8_t>(value, to);
        break;
    }
    numbers.values[i] = value;
  }
  return numbers;
}

float Load(const std::byte* from, ElementType type) {
  switch (type) {
    case ElementType::kF32: {
      float value;
      std::memcpy(&value, from, sizeof(value));
      return value;
    }
    case ElementType::kBF16: {
      uint16_t half;
      float value;
      std::memcpy(&half, from, sizeof(half));
      BaselineKernels().bf16_to_float(1, &half, &value);
      return value;
    }
    case ElementType::kU8:
      return static_cast<float>(std::to_integer<uint8_t>(*from));
    case ElementType::kS8:
      return static_cast<float>(
          static_cast<int8_t>(std::to_integer<uint8_t>(*from)));
  }
  return 0;
}

struct Position {
  int64_t n, k, y, x;
};

std::vector<Position> Positions(const ProductShape& s, std::mt19937* random) {
  std::vector<Position> positions;
  for (int64_t n : {int64_t{0}, s.batch - 1}) {
    for (int64_t k : {int64_t{0}, s.out_channels - 1}) {
      for (int64_t y : {int64_t{0}, s.out_height - 1}) {
        for (int64_t x : {int64_t{0}, s.out_width - 1}) {
          positions.push_back({n, k, y, x});
        }
      }
    }
  }
  const auto below = [&](int64_t end) {
    return static_cast<int64_t>((*random)() % static_cast<uint64_t>(end));
  };
  for (int i = 0; i < kRandomOutputs; ++i) {
    positions.push_back({below(s.batch), below(s.out_channels),
                         below(s.out_height), below(s.out_width)});
  }
  return positions;
}

struct Expected {
  double value = 0;
  double magnitude = 0;  // the sum of the products' absolute values
};

double WeightAt(const ProductShape& s, const void* weights, int64_t i) {
  return s.weights_type == ElementType::kS8
             ? static_cast<const int8_t*>(weights)[i]
             : static_cast<const float*>(weights)[i];
}

// A linear layer's input is row-major, which for [rows, channels] means
// channels last.
int64_t IndexOfInput(const ProductShape& s, int64_t n, int64_t c, int64_t y,
                     int64_t x) {
  if (s.linear) return (n * s.in_width + x) * s.in_channels + c;
  return ((n * s.in_channels + c) * s.in_height + y) * s.in_width + x;
}

int64_t IndexOfOutput(const ProductShape& s, const Position& p) {
  if (s.linear) return (p.n * s.out_width + p.x) * s.out_channels + p.k;
  return ((p.n * s.out_channels + p.k) * s.out_height + p.y) * s.out_width +
         p.x;
}

Expected Compute(const ProductShape& s, const void* weights,
                 const Numbers& input, const Numbers& before,
                 const Position& p) {
  const int64_t per_group = s.in_channels / s.conv.groups;
  const int64_t first = p.k / (s.out_channels / s.conv.groups) * per_group;
  Expected e;
  for (int64_t c = 0; c < per_group; ++c) {
    for (int64_t t = 0; t < s.window(); ++t) {
      const int64_t y = p.y * s.conv.stride[0] - s.conv.padding[0] +
                        t / s.kernel_width * s.conv.dilation[0];
      const int64_t x = p.x * s.conv.stride[1] - s.conv.padding[1] +
                        t % s.kernel_width * s.conv.dilation[1];
      if (y < 0 || y >= s.in_height || x < 0 || x >= s.in_width) continue;
      const double product =
          WeightAt(s, weights, (p.k * per_group + c) * s.window() + t) *
          input.values[IndexOfInput(s, p.n, first + c, y, x)];
      e.value += product;
      e.magnitude += std::abs(product);
    }
  }
  if (!s.multipliers.empty()) {
    e.value *= s.multipliers[p.k];
    e.magnitude *= s.multipliers[p.k];
  }
  if (!s.bias.empty()) e.value += s.bias[p.k];
  if (s.sum) e.value += s.sum->scale * before.values[IndexOfOutput(s, p)];
  if (s.clip) {
    e.value =
        std::min<double>(std::max<double>(e.value, s.clip->lo), s.clip->hi);
  }
  if (s.out_type == ElementType::kU8) {
    e.value = std::clamp(std::nearbyint(e.value), 0.0, 255.0);
  } else if (s.out_type == ElementType::kS8) {
    e.value = std::clamp(std::nearbyint(e.value), -128.0, 127.0);
  }
  return e;
}

bool Agrees(const ProductShape& s, const Expected& e, double got) {
  const double error = std::abs(got - e.value);
  switch (s.out_type) {
    case ElementType::kU8:
    case ElementType::kS8:
      return error <= 1;
    case ElementType::kF32:
    case ElementType::kBF16: {
      const bool bf16 = s.weights_type == ElementType::kBF16;
      return error <=
             (bf16 ? 1e-2 : 1e-4) * (e.magnitude + std::abs(e.value)) + 1e-6;
    }
  }
  return false;
}

// How the numbers of a linear layer or an image lie row-major.
Layout Plain(const ProductShape& s) {
  return s.linear ? Layout::kChannelsLast : Layout::kRowMajor;
}

ElementType TypeBefore(const ProductShape& s) {
  if (s.sum && s.sum->type == DnnlType::u8) return ElementType::kU8;
  if (s.sum && s.sum->type == DnnlType::s8) return ElementType::kS8;
  return s.out_type;
}

absl::StatusOr<bool> Check(const ProductShape& s, const Candidate& candidate,
                           const void* weights, int threads) {
  std::mt19937 random(20);
  WeightStore store;
  QS_ASSIGN_OR_RETURN(const void* placed,
                      PlaceWeights(s, candidate, weights, &store));
  const Numbers input = Random(
      s.batch * s.in_channels * s.in_height * s.in_width, s.in_type, &random);
  const int64_t out_count = s.pixels() * s.out_channels;
  const ElementType before_type = TypeBefore(s);
  const Numbers before = Random(out_count, before_type, &random);
  Program program;
  const MemoryDesc src = DescOf(s.InShape(), s.batch, candidate.in, s.in_type);
  const MemoryDesc dst =
      DescOf(s.OutShape(), s.batch, candidate.out, s.out_type);
  const BufferId in = program.NewBuffer(DescBytes(src));
  const BufferId out = program.NewBuffer(DescBytes(dst));
  // Both are filled before the first step, so they must not share bytes.
  program.AddKernel("inputs", {in, out},
                    [](const RunArgs&) { return absl::OkStatus(); });
  QS_RETURN_IF_ERROR(
      EmitProduct(s, candidate, placed, in, out, threads, &store, &program));
  program.Finish();
  QS_ASSIGN_OR_RETURN(const HugeRegion arena,
                      HugeRegion::Allocate(program.arena_bytes()));
  const BoundProgram bound(program, arena.data());
  std::byte* in_data = arena.data() + program.offsets()[in];
  std::byte* out_data = arena.data() + program.offsets()[out];
  QS_RETURN_IF_ERROR(
      ReorderNow(DescOf(s.InShape(), s.batch, Plain(s), s.in_type),
                 input.bytes.data(), src, in_data));
  QS_RETURN_IF_ERROR(ReorderNow(
      DescOf(s.OutShape(), s.batch, Plain(s), before_type), before.bytes.data(),
      DescOf(s.OutShape(), s.batch, candidate.out, before_type), out_data));
  QS_RETURN_IF_ERROR(bound.Run(s.batch, {}, {}, dnnl::stream(CpuEngine())));
  const int64_t size = ElementBytes(s.out_type);
  std::vector<std::byte> result(out_count * size);
  QS_RETURN_IF_ERROR(ReorderNow(
      dst, out_data, DescOf(s.OutShape(), s.batch, Plain(s), s.out_type),
      result.data()));
  for (const Position& p : Positions(s, &random)) {
    const double got = Load(&result[IndexOfOutput(s, p) * size], s.out_type);
    if (!Agrees(s, Compute(s, weights, input, before, p), got)) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<bool> ProductChecker::IsRight(const ProductShape& shape,
                                             const Candidate& candidate,
                                             const void* weights) {
  const std::string key = absl::StrCat(shape.Signature(), "|", candidate.name);
  const auto known = known_.find(key);
  if (known != known_.end()) return known->second;
  QS_ASSIGN_OR_RETURN(const bool right,
                      Check(shape, candidate, weights, threads_));
  return known_[key] = right;
}

}  // namespace quantserve::onednn
