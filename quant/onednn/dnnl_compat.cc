#include "quant/onednn/dnnl_compat.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quantserve::onednn {
namespace {

using dnnl::memory;

bool IsConvolution(ProductKind kind) {
  return kind == ProductKind::kConvolution || kind == ProductKind::kWinograd;
}

dnnl::post_ops PostOps(const ProductSpec& spec) {
  dnnl::post_ops ops;
  if (spec.sum) ops.append_sum(spec.sum->scale, 0, spec.sum->type);
  if (!spec.clip) return ops;
  const auto [lo, hi] = *spec.clip;
  const bool relu = lo == 0 && hi == std::numeric_limits<float>::infinity();
  const auto algorithm =
      relu ? dnnl::algorithm::eltwise_relu : dnnl::algorithm::eltwise_clip;
  const float beta = relu ? 0 : std::min(hi, std::numeric_limits<float>::max());
  const float alpha =
      relu ? 0 : std::max(lo, std::numeric_limits<float>::lowest());
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, beta);
#else
  ops.append_eltwise(1.0f, algorithm, alpha, beta);
#endif
  return ops;
}

MemoryDesc BiasDesc(const ProductSpec& spec) {
  const auto channels = static_cast<memory::dim>(spec.bias.size());
  if (spec.bias.empty()) return MemoryDesc();
  if (spec.kind == ProductKind::kMatmul) {
    return MemoryDesc({1, channels}, DnnlType::f32, memory::format_tag::ab);
  }
  return MemoryDesc({channels}, DnnlType::f32, memory::format_tag::a);
}

// A new one for every primitive: copies of dnnl::primitive_attr share state.
dnnl::primitive_attr Attributes(const ProductSpec& spec, bool grouped) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(PostOps(spec));
  if (spec.multipliers.empty()) return attr;
#if DNNL_VERSION_MAJOR >= 3
  // Output channels are dimension 0 of the weights, 1 in a matrix product; with
  // groups they are dimensions 0 and 1.
  const int mask = spec.kind == ProductKind::kMatmul ? 2 : grouped ? 3 : 1;
  attr.set_scales_mask(DNNL_ARG_WEIGHTS, mask);
#else
  static_cast<void>(grouped);
  attr.set_output_scales(2, spec.multipliers);
#endif
  return attr;
}

// What the library adds, or nothing if that is not a number.
std::optional<std::vector<Product::Constant>> Constants(
    const ProductSpec& spec) {
  std::vector<Product::Constant> constants;
  if (!spec.bias.empty()) {
    std::vector<float> bias = spec.bias;
#if DNNL_VERSION_MAJOR < 3
    // 2.x: dst = multiplier * (sum + bias).
    for (size_t k = 0; k < spec.multipliers.size(); ++k) {
      bias[k] /= spec.multipliers[k];
      if (!std::isfinite(bias[k])) return std::nullopt;
    }
#endif
    constants.push_back({DNNL_ARG_BIAS, BiasDesc(spec), std::move(bias)});
  }
#if DNNL_VERSION_MAJOR >= 3
  if (!spec.multipliers.empty()) {
    const auto n = static_cast<memory::dim>(spec.multipliers.size());
    constants.push_back({DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
                         MemoryDesc({n}, DnnlType::f32, memory::format_tag::a),
                         spec.multipliers});
  }
#endif
  return constants;
}

memory::dims LibraryDilation(const memory::dims& dilations) {
  memory::dims result = dilations;
  for (auto& d : result) d -= 1;  // the library counts from 0
  return result;
}

// Collects the implementations that `pd` iterates over. `Primitive` is
// constructible from the descriptor.
template <typename Primitive, typename PrimitiveDesc>
void Collect(PrimitiveDesc pd, const std::vector<Product::Constant>& constants,
             std::vector<Product>* products) {
  do {
    Product product;
    product.implementation = pd.impl_info_str();
    product.weights = pd.weights_desc();
    // The iterator shows what is in the library's cache a second time.
    const bool seen =
        std::any_of(products->begin(), products->end(), [&](const Product& p) {
          return p.implementation == product.implementation &&
                 p.weights == product.weights;
        });
    if (seen) continue;
    product.src = pd.src_desc();
    product.dst = pd.dst_desc();
    product.scratchpad = pd.scratchpad_desc();
    product.constants = constants;
    product.primitive = Primitive(pd);
    products->push_back(std::move(product));
  } while (pd.next_impl());
}

void CollectConvolutions(const ProductSpec& spec, const MemoryDesc& bias,
                         const dnnl::primitive_attr& attr,
                         const std::vector<Product::Constant>& constants,
                         std::vector<Product>* products) {
  const auto algorithm = spec.kind == ProductKind::kWinograd
                             ? dnnl::algorithm::convolution_winograd
                             : dnnl::algorithm::convolution_direct;
  const auto inference = dnnl::prop_kind::forward_inference;
  const memory::dims dilations = LibraryDilation(spec.dilations);
  using Conv = dnnl::convolution_forward;
#if DNNL_VERSION_MAJOR >= 3
  Collect<Conv>(
      Conv::primitive_desc(CpuEngine(), inference, algorithm, spec.src,
                           spec.weights, bias, spec.dst, spec.strides,
                           dilations, spec.pad_before, spec.pad_after, attr),
      constants, products);
#else
  const Conv::desc desc(inference, algorithm, spec.src, spec.weights, bias,
                        spec.dst, spec.strides, dilations, spec.pad_before,
                        spec.pad_after);
  Collect<Conv>(Conv::primitive_desc(desc, attr, CpuEngine()), constants,
                products);
#endif
}

void CollectMatmuls(const ProductSpec& spec, const MemoryDesc& bias,
                    const dnnl::primitive_attr& attr,
                    const std::vector<Product::Constant>& constants,
                    std::vector<Product>* products) {
  using Matmul = dnnl::matmul;
#if DNNL_VERSION_MAJOR >= 3
  Collect<Matmul>(Matmul::primitive_desc(CpuEngine(), spec.src, spec.weights,
                                         bias, spec.dst, attr),
                  constants, products);
#else
  const Matmul::desc desc(spec.src, spec.weights, bias, spec.dst);
  Collect<Matmul>(Matmul::primitive_desc(desc, attr, CpuEngine()), constants,
                  products);
#endif
}

void CollectInnerProducts(const ProductSpec& spec, const MemoryDesc& bias,
                          const dnnl::primitive_attr& attr,
                          const std::vector<Product::Constant>& constants,
                          std::vector<Product>* products) {
  using Inner = dnnl::inner_product_forward;
  const auto inference = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  Collect<Inner>(Inner::primitive_desc(CpuEngine(), inference, spec.src,
                                       spec.weights, bias, spec.dst, attr),
                 constants, products);
#else
  const Inner::desc desc(inference, spec.src, spec.weights, bias, spec.dst);
  Collect<Inner>(Inner::primitive_desc(desc, attr, CpuEngine()), constants,
                 products);
#endif
}

}  // namespace

const dnnl::engine& CpuEngine() {
  static const auto* const engine =
      new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

std::vector<Product> Implementations(const ProductSpec& spec) {
  std::vector<Product> products;
  const auto constants = Constants(spec);
  if (!constants) return products;
  try {
    const bool grouped =
        IsConvolution(spec.kind) && DescDims(spec.weights) == 5;
    const dnnl::primitive_attr attr = Attributes(spec, grouped);
    const MemoryDesc bias = BiasDesc(spec);
    if (IsConvolution(spec.kind)) {
      CollectConvolutions(spec, bias, attr, *constants, &products);
    } else if (spec.kind == ProductKind::kMatmul) {
      CollectMatmuls(spec, bias, attr, *constants, &products);
    } else {
      CollectInnerProducts(spec, bias, attr, *constants, &products);
    }
  } catch (const dnnl::error&) {
    // No (further) implementation: what was found before it still counts.
  }
  return products;
}

bool IsReference(const std::string& implementation) {
  return absl::StartsWith(implementation, "ref") ||
         absl::StrContains(implementation, ":ref") ||
         absl::StartsWith(implementation, "simple:");
}

absl::StatusOr<Reorder> MakeReorder(const MemoryDesc& from,
                                    const MemoryDesc& to) {
  try {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::reorder::primitive_desc pd(CpuEngine(), from, CpuEngine(), to,
                                           attr);
    return Reorder{dnnl::reorder(pd), from, to, pd.scratchpad_desc()};
  } catch (const dnnl::error& e) {
    return absl::InternalError(absl::StrCat("oneDNN reorder: ", e.what()));
  }
}

absl::Status ReorderNow(const MemoryDesc& from, const void* src,
                        const MemoryDesc& to, void* dst) {
  try {
    dnnl::stream stream(CpuEngine());
    dnnl::memory in(from, CpuEngine(), const_cast<void*>(src));
    dnnl::memory out(to, CpuEngine(), dst);
    dnnl::reorder(in, out).execute(stream, in, out);
    stream.wait();
    return absl::OkStatus();
  } catch (const dnnl::error& e) {
    return absl::InternalError(absl::StrCat("oneDNN reorder: ", e.what()));
  }
}

size_t DescBytes(const MemoryDesc& desc) { return desc.get_size(); }

int DescDims(const MemoryDesc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return desc.get_ndims();
#else
  return desc.data.ndims;
#endif
}

std::string DnnlVersion() {
  const dnnl_version_t* v = dnnl_version();
  return absl::StrCat(v->major, ".", v->minor, ".", v->patch);
}

std::string DnnlIsa() {
  const auto isa = static_cast<int>(dnnl::get_effective_cpu_isa());
  switch (isa) {
    case dnnl_cpu_isa_sse41:
      return "sse41";
    case dnnl_cpu_isa_avx:
      return "avx";
    case dnnl_cpu_isa_avx2:
      return "avx2";
    case dnnl_cpu_isa_avx2_vnni:
      return "avx2_vnni";
    case dnnl_cpu_isa_avx512_core:
      return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx:
      return "avx512_core_amx";
    default:
      return absl::StrCat("isa ", isa);
  }
}

absl::Status Execute(const dnnl::primitive& primitive,
                     const dnnl::stream& stream,
                     const std::vector<dnnl_exec_arg_t>& args) {
  const dnnl_status_t status =
      dnnl_primitive_execute(primitive.get(), stream.get(),
                             static_cast<int>(args.size()), args.data());
  if (status == dnnl_success) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("oneDNN primitive failed with status ", status));
}

void DropCachedPrimitives() {
  const int capacity = dnnl::get_primitive_cache_capacity();
  dnnl::set_primitive_cache_capacity(0);
  dnnl::set_primitive_cache_capacity(capacity);
}

}  // namespace quantserve::onednn
