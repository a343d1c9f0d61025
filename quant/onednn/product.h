// kConv2d and kLinear for one batch size: what there is to compute, and the
// ways in which oneDNN can compute it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quant/onednn/dnnl_compat.h"
#include "quant/onednn/layout.h"
#include "quant/onednn/program.h"
#include "quant/onednn/weight_store.h"
#include "quant/plan/plan.h"

namespace quantserve::onednn {

// A convolution; a kLinear is one with a 1x1 kernel over a 1 x rows image.
// Zero points are gone: `bias` holds what they add, and where the input's is
// not zero, `conv.padding` is.
struct ProductShape {
  std::string node;     // name in the plan
  bool linear = false;  // memory is row-major; every layout is the same
  int64_t batch = 1;
  int64_t in_channels = 0, in_height = 1, in_width = 1;
  int64_t out_channels = 0, out_height = 1, out_width = 1;
  int64_t kernel_height = 1, kernel_width = 1;
  Conv2dAttrs conv;
  ElementType in_type = ElementType::kF32;
  ElementType weights_type = ElementType::kF32;
  ElementType out_type = ElementType::kF32;
  // As in ProductSpec.
  std::vector<float> multipliers, bias;
  std::optional<ProductSpec::Sum> sum;
  std::optional<ProductSpec::Clip> clip;

  int64_t pixels() const { return batch * out_height * out_width; }
  int64_t window() const { return kernel_height * kernel_width; }
  Shape InShape() const { return {1, in_channels, in_height, in_width}; }
  Shape OutShape() const { return {1, out_channels, out_height, out_width}; }
  int64_t macs() const {
    return pixels() * out_channels * window() * (in_channels / conv.groups);
  }
  // Equal for products that take equal time.
  std::string Signature() const;
};

enum class Method {
  kConvolution,  // oneDNN's convolution
  kMatmul,       // the image already is the matrix
  kIm2col,       // windows copied into a matrix first
};

struct Candidate {
  std::string name;  // "conv/nhwc/brgconv:avx512_core_vnni", "im2col/…"
  Method method = Method::kConvolution;
  ProductKind kind = ProductKind::kConvolution;
  Layout in = Layout::kChannelsLast;
  Layout out = Layout::kChannelsLast;
  Product product;
};

// Every way that is not a reference kernel; if there is none, reference
// kernels. Empty if the library cannot do it at all.
std::vector<Candidate> FindCandidates(const ProductShape& shape);

// The candidate's weights, from `data` as [K, C/groups, kh, kw] of
// weights_type (or F32 where weights_type is kBF16). Shared through `store`.
absl::StatusOr<const void*> PlaceWeights(const ProductShape& shape,
                                         const Candidate& candidate,
                                         const void* data, WeightStore* store);

// Whether PlaceWeights would find them there already.
bool WeightsArePlaced(const ProductShape& shape, const Candidate& candidate,
                      const WeightStore& store);

// Appends the steps that compute `out` from `in`. Where the shape has a sum,
// `out` holds the other operand before.
absl::Status EmitProduct(const ProductShape& shape, const Candidate& candidate,
                         const void* weights, BufferId in, BufferId out,
                         int threads, WeightStore* store, Program* program);

}  // namespace quantserve::onednn
