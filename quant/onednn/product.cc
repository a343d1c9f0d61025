#include "quant/onednn/product.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/parallel.h"

namespace quantserve::onednn {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;

// A matrix of windows larger than this is never worth building.
constexpr int64_t kMaxIm2colBytes = int64_t{1} << 20;

// Whether the windows of all outputs, one after the other, are the image.
bool ImageIsMatrix(const ProductShape& s) {
  const Conv2dAttrs& a = s.conv;
  const bool unpadded = a.padding == std::array<int64_t, 4>{0, 0, 0, 0};
  if (a.groups != 1 || !unpadded) return false;
  if (s.window() == 1) return a.stride[0] == 1 && a.stride[1] == 1;
  return s.kernel_height == s.in_height && s.kernel_width == s.in_width &&
         a.dilation == std::array<int64_t, 2>{1, 1};
}

int64_t MatrixColumns(const ProductShape& s) {
  return s.window() * s.in_channels;
}

Dims WeightDims(const ProductShape& s) {
  const int64_t groups = s.conv.groups;
  if (groups == 1) {
    return {s.out_channels, s.in_channels, s.kernel_height, s.kernel_width};
  }
  return {groups, s.out_channels / groups, s.in_channels / groups,
          s.kernel_height, s.kernel_width};
}

ProductSpec ConvolutionSpec(const ProductShape& s, Layout in, Layout out,
                            ProductKind kind) {
  ProductSpec spec;
  spec.kind = kind;
  spec.src = DescOf(s.InShape(), s.batch, in, s.in_type);
  spec.dst = DescOf(s.OutShape(), s.batch, out, s.out_type);
  spec.weights = MemoryDesc(WeightDims(s), ToDnnl(s.weights_type), Tag::any);
  spec.strides = {s.conv.stride[0], s.conv.stride[1]};
  spec.dilations = {s.conv.dilation[0], s.conv.dilation[1]};
  spec.pad_before = {s.conv.padding[0], s.conv.padding[1]};
  spec.pad_after = {s.conv.padding[2], s.conv.padding[3]};
  spec.multipliers = s.multipliers;
  spec.bias = s.bias;
  spec.sum = s.sum;
  spec.clip = s.clip;
  return spec;
}

// [pixels, columns] x [columns, K]; an inner product has its weights [K, C].
ProductSpec MatrixSpec(const ProductShape& s, ProductKind kind) {
  ProductSpec spec;
  spec.kind = kind;
  const int64_t columns = MatrixColumns(s);
  spec.src = MemoryDesc({s.pixels(), columns}, ToDnnl(s.in_type), Tag::ab);
  spec.dst =
      MemoryDesc({s.pixels(), s.out_channels}, ToDnnl(s.out_type), Tag::ab);
  const Dims weights = kind == ProductKind::kMatmul
                           ? Dims{columns, s.out_channels}
                           : Dims{s.out_channels, columns};
  spec.weights = MemoryDesc(weights, ToDnnl(s.weights_type), Tag::any);
  spec.multipliers = s.multipliers;
  spec.bias = s.bias;
  spec.sum = s.sum;
  spec.clip = s.clip;
  return spec;
}

// Winograd's F(4x4, 3x3) takes 36 products for a tile of 16 outputs instead of
// 144, and weights four times as large: on a map smaller than a tile there is
// nothing to save.
bool WinogradSaves(const ProductShape& s) {
  const int64_t tiles = (s.out_height + 3) / 4 * ((s.out_width + 3) / 4);
  return s.in_type == ElementType::kF32 && s.window() == 9 &&
         36 * tiles < 9 * s.out_height * s.out_width;
}

void AddConvolutions(const ProductShape& s, Layout in, Layout out,
                     std::vector<Candidate>* candidates) {
  for (ProductKind kind : {ProductKind::kConvolution, ProductKind::kWinograd}) {
    const bool winograd = kind == ProductKind::kWinograd;
    if (winograd && !WinogradSaves(s)) continue;
    for (Product& p : Implementations(ConvolutionSpec(s, in, out, kind))) {
      candidates->push_back(
          {absl::StrCat(winograd ? "winograd/" : "conv/", LayoutName(in), "-",
                        LayoutName(out), "/", p.implementation),
           Method::kConvolution, kind, in, out, std::move(p)});
    }
  }
}

void AddMatrices(const ProductShape& s, Method method,
                 std::vector<Candidate>* candidates) {
  for (ProductKind kind : {ProductKind::kMatmul, ProductKind::kInnerProduct}) {
    for (Product& p : Implementations(MatrixSpec(s, kind))) {
      candidates->push_back(
          {absl::StrCat(method == Method::kIm2col ? "im2col-" : "",
                        kind == ProductKind::kMatmul ? "matmul/" : "inner/",
                        p.implementation),
           method, kind, Layout::kChannelsLast, Layout::kChannelsLast,
           std::move(p)});
    }
  }
}

// The matrix of windows, one row for each output pixel, taps outside the image
// zero. Only used where zero is what padding holds.
void Im2col(const ProductShape& s, Rows rows, const std::byte* image,
            std::byte* matrix) {
  const int64_t pixel = s.in_channels * ElementBytes(s.in_type);
  const int64_t row_bytes = s.window() * pixel;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const int64_t x = r % s.out_width, y = r / s.out_width % s.out_height;
    const std::byte* source = image + r / (s.out_width * s.out_height) *
                                          s.in_height * s.in_width * pixel;
    std::byte* to = matrix + r * row_bytes;
    for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
      const int64_t iy =
          y * s.conv.stride[0] - s.conv.padding[0] + ky * s.conv.dilation[0];
      for (int64_t kx = 0; kx < s.kernel_width; ++kx, to += pixel) {
        const int64_t ix =
            x * s.conv.stride[1] - s.conv.padding[1] + kx * s.conv.dilation[1];
        const bool inside =
            iy >= 0 && iy < s.in_height && ix >= 0 && ix < s.in_width;
        if (inside) {
          std::memcpy(to, source + (iy * s.in_width + ix) * pixel, pixel);
        } else {
          std::memset(to, 0, pixel);
        }
      }
    }
  }
}

// [K, C, kh, kw] to [K, kh, kw, C]: the order of a row of the matrix.
std::vector<std::byte> ChannelsInnermost(const ProductShape& s,
                                         const std::byte* data,
                                         int64_t element) {
  const int64_t window = s.window(), channels = s.in_channels;
  std::vector<std::byte> result(s.out_channels * channels * window * element);
  for (int64_t k = 0; k < s.out_channels; ++k) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < window; ++t) {
        std::memcpy(&result[((k * window + t) * channels + c) * element],
                    &data[((k * channels + c) * window + t) * element],
                    element);
      }
    }
  }
  return result;
}

// Products that read the same numbers in the same order have the same key.
std::string WeightKey(const ProductShape& s, const Candidate& candidate) {
  if (candidate.method == Method::kConvolution) {
    return absl::StrCat(s.node, "|conv");
  }
  const bool inner = candidate.kind == ProductKind::kInnerProduct;
  return absl::StrCat(s.node, inner ? "|inner" : "|matmul");
}

// The library lists what older processors would get, too. Its 8-bit kernels for
// them saturate in 16 bits.
bool ForLesserProcessor(const std::string& implementation) {
  return absl::StrContains(implementation, "sse41") ||
         absl::EndsWith(implementation, ":avx2") ||
         absl::EndsWith(implementation, ":avx");
}

std::string TypeName(ElementType type) {
  switch (type) {
    case ElementType::kF32:
      return "f32";
    case ElementType::kBF16:
      return "bf16";
    case ElementType::kU8:
      return "u8";
    case ElementType::kS8:
      return "s8";
  }
  return "unknown";
}

}  // namespace

std::string ProductShape::Signature() const {
  std::string text = absl::StrCat(
      linear ? "linear " : "conv ", TypeName(in_type), ">", TypeName(out_type),
      " b", batch, " c", in_channels, "x", in_height, "x", in_width, " k",
      out_channels, "x", out_height, "x", out_width, " w", kernel_height, "x",
      kernel_width, " s", conv.stride[0], ",", conv.stride[1], " d",
      conv.dilation[0], ",", conv.dilation[1], " p", conv.padding[0], ",",
      conv.padding[1], " g", conv.groups);
  if (sum) absl::StrAppend(&text, " sum");
  if (clip) absl::StrAppend(&text, " clip");
  return text;
}

std::vector<Candidate> FindCandidates(const ProductShape& s) {
  std::vector<Candidate> all;
  if (ImageIsMatrix(s)) AddMatrices(s, Method::kMatmul, &all);
  AddConvolutions(s, Layout::kChannelsLast, Layout::kChannelsLast, &all);
  if (!s.linear && s.weights_type != ElementType::kS8) {
    AddConvolutions(s, Layout::kBlocked16, Layout::kBlocked16, &all);
    if (s.in_channels <= 4) {
      AddConvolutions(s, Layout::kRowMajor, Layout::kBlocked16, &all);
    }
  }
  const int64_t matrix_bytes =
      s.pixels() * MatrixColumns(s) * ElementBytes(s.in_type);
  if (s.conv.groups == 1 && !ImageIsMatrix(s) &&
      matrix_bytes <= kMaxIm2colBytes) {
    AddMatrices(s, Method::kIm2col, &all);
  }
  std::vector<Candidate> fast;
  for (Candidate& c : all) {
    const std::string& name = c.product.implementation;
    if (!IsReference(name) && !(Cpu().avx512 && ForLesserProcessor(name))) {
      fast.push_back(c);
    }
  }
  return fast.empty() ? all : fast;
}

absl::StatusOr<const void*> PlaceWeights(const ProductShape& s,
                                         const Candidate& candidate,
                                         const void* data, WeightStore* store) {
  const MemoryDesc& to = candidate.product.weights;
  const ElementType type =
      s.weights_type == ElementType::kBF16 ? ElementType::kF32 : s.weights_type;
  if (candidate.method == Method::kConvolution) {
    const Dims dims = WeightDims(s);
    const MemoryDesc from(dims, ToDnnl(type),
                          dims.size() == 4 ? Tag::oihw : Tag::goihw);
    return store->Put(WeightKey(s, candidate), from, data, to);
  }
  const std::vector<std::byte> rows = ChannelsInnermost(
      s, static_cast<const std::byte*>(data), ElementBytes(type));
  const int64_t columns = MatrixColumns(s);
  const bool inner = candidate.kind == ProductKind::kInnerProduct;
  // [K, columns] row by row is [columns, K] column by column.
  const MemoryDesc from =
      inner ? MemoryDesc({s.out_channels, columns}, ToDnnl(type), Tag::ab)
            : MemoryDesc({columns, s.out_channels}, ToDnnl(type), Tag::ba);
  return store->Put(WeightKey(s, candidate), from, rows.data(), to);
}

bool WeightsArePlaced(const ProductShape& shape, const Candidate& candidate,
                      const WeightStore& store) {
  return store.Has(WeightKey(shape, candidate), candidate.product.weights);
}

absl::Status EmitProduct(const ProductShape& shape, const Candidate& candidate,
                         const void* weights, BufferId in, BufferId out,
                         int threads, WeightStore* store, Program* program) {
  const Product& product = candidate.product;
  BufferId src = in;
  if (candidate.method == Method::kIm2col) {
    src = program->NewBuffer(DescBytes(product.src));
    // The kernel needs the geometry only, not the constants.
    auto s = std::make_shared<ProductShape>(shape);
    s->multipliers.clear();
    s->bias.clear();
    program->AddKernel(absl::StrCat(shape.node, " im2col"), {in, src},
                       [s, in, src, threads](const RunArgs& run) {
                         ParallelRows(threads, s->pixels(), [&](Rows rows) {
                           Im2col(*s, rows, run.at<std::byte>(in),
                                  run.at<std::byte>(src));
                         });
                         return absl::OkStatus();
                       });
  }
  std::vector<PrimitiveArg> args = {
      {DNNL_ARG_SRC, product.src, src, nullptr},
      {DNNL_ARG_WEIGHTS, product.weights, kNoBuffer, weights},
      {DNNL_ARG_DST, product.dst, out, nullptr},
  };
  for (const Product::Constant& constant : product.constants) {
    QS_ASSIGN_OR_RETURN(const void* p, store->PutFloats(constant.data));
    args.push_back({constant.arg, constant.desc, kNoBuffer, p});
  }
  if (DescBytes(product.scratchpad) > 0) {
    args.push_back({DNNL_ARG_SCRATCHPAD, product.scratchpad,
                    program->NewBuffer(DescBytes(product.scratchpad)),
                    nullptr});
  }
  program->AddPrimitive(absl::StrCat(shape.node, " ", candidate.name),
                        product.primitive, std::move(args));
  return absl::OkStatus();
}

}  // namespace quantserve::onednn
