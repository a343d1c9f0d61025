// The one place that knows which oneDNN this is. oneDNN 2.x (Debian 12) and 3.x
// (Debian 13) describe the same convolution differently: operation descriptors
// with output scales against direct descriptors with run-time scales; a bias in
// units of the accumulator against a bias in units of the result.
//
// Nothing here throws: dnnl::error is caught at this wall.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace quantserve::onednn {

using MemoryDesc = dnnl::memory::desc;
using DnnlType = dnnl::memory::data_type;

enum class ProductKind { kConvolution, kWinograd, kMatmul, kInnerProduct };

// dst = clip(multipliers[k] * sum(src * weights) + bias[k]
//            + sum_scale * old dst), rounded once onto dst's type.
struct ProductSpec {
  ProductKind kind = ProductKind::kConvolution;
  MemoryDesc src, weights, dst;  // weights with format any
  // kConvolution and kWinograd; dilation 1 means none.
  dnnl::memory::dims strides, dilations, pad_before, pad_after;
  std::vector<float> multipliers;  // empty: all 1
  std::vector<float> bias;         // empty: none
  struct Sum {
    float scale = 1;
    DnnlType type = DnnlType::f32;  // what dst holds before
  };
  std::optional<Sum> sum;
  struct Clip {
    float lo = 0;
    float hi = 0;  // infinity: ReLU, where lo is 0
  };
  std::optional<Clip> clip;
};

// A primitive that does it. Scratchpad and all other memory come from the
// caller, so one Product may run in several threads at a time.
struct Product {
  dnnl::primitive primitive;
  std::string implementation;  // the library's name, "brgconv:avx512_core_vnni"
  MemoryDesc src, weights, dst, scratchpad;
  // Small constants, passed as they are: bias and, in 3.x, scales.
  struct Constant {
    int arg;
    MemoryDesc desc;
    std::vector<float> data;
  };
  std::vector<Constant> constants;
};

const dnnl::engine& CpuEngine();

// Every implementation that the library offers, in its order of preference.
// Empty if it offers none, or if a bias cannot be expressed in its units.
std::vector<Product> Implementations(const ProductSpec& spec);

// Whether this is the library's slow but general fallback.
bool IsReference(const std::string& implementation);

// A copy between layouts and types; rounds half to even, saturates.
struct Reorder {
  dnnl::primitive primitive;
  MemoryDesc from, to, scratchpad;
};
absl::StatusOr<Reorder> MakeReorder(const MemoryDesc& from,
                                    const MemoryDesc& to);
// The same at once, for constants.
absl::Status ReorderNow(const MemoryDesc& from, const void* src,
                        const MemoryDesc& to, void* dst);

int DescDims(const MemoryDesc& desc);
size_t DescBytes(const MemoryDesc& desc);

// "2.6.3".
std::string DnnlVersion();
// What oneDNN may use here, after ONEDNN_MAX_CPU_ISA: "avx512_core_vnni", …
std::string DnnlIsa();

// Runs a primitive with a prepared argument list.
absl::Status Execute(const dnnl::primitive& primitive,
                     const dnnl::stream& stream,
                     const std::vector<dnnl_exec_arg_t>& args);

// Forgets the primitives that nobody holds: a tuner makes hundreds, and the
// library keeps each one's code.
void DropCachedPrimitives();

}  // namespace quantserve::onednn
