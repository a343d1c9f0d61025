#include "quant/plan/reference_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/plan/reference.h"

namespace quantserve::reference {
namespace {

// Strides of a row-major shape.
std::vector<int64_t> Strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

// Calls visit(index) for every index of `shape`, last dimension fastest.
template <typename Visit>
void ForEachIndex(const Shape& shape, Visit visit) {
  for (int64_t dim : shape) {
    if (dim == 0) return;
  }
  std::vector<int64_t> index(shape.size(), 0);
  while (true) {
    visit(index);
    size_t d = shape.size();
    while (d > 0 && ++index[d - 1] == shape[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

double Weight(const Weights& weights, int64_t i) {
  return weights.data->dtype() == DType::kS8 ? weights.data->data<int8_t>()[i]
                                             : weights.data->data<float>()[i];
}

// The real value of one unit of the accumulator of output channel k.
double WeightScale(const Weights& weights, int64_t k) {
  return weights.scales.empty() ? 1.0 : weights.scales[k];
}

double Bias(const Weights& weights, int64_t k) {
  return weights.bias.empty() ? 0.0 : weights.bias[k];
}

// out[y][x] += w * in[y * stride + y0][x * stride + x0] where that is inside.
struct Plane {
  int64_t height, width;
};
struct Tap {
  double w;
  int64_t y0, x0, stride_y, stride_x;
};
void AddTap(const Tap& tap, Plane in_size, const double* in, Plane out_size,
            double* out) {
  for (int64_t y = 0; y < out_size.height; ++y) {
    const int64_t iy = y * tap.stride_y + tap.y0;
    if (iy < 0 || iy >= in_size.height) continue;
    const double* row = in + iy * in_size.width;
    double* out_row = out + y * out_size.width;
    for (int64_t x = 0; x < out_size.width; ++x) {
      const int64_t ix = x * tap.stride_x + tap.x0;
      if (ix < 0 || ix >= in_size.width) continue;
      out_row[x] += tap.w * row[ix];
    }
  }
}

// Maximum or sum of a window of one plane; `taken` counts elements inside.
struct WindowResult {
  double max, sum;
  int64_t taken;
};
WindowResult Window(const PoolAttrs& a, Plane size, const double* in, int64_t y,
                    int64_t x) {
  WindowResult r{-std::numeric_limits<double>::infinity(), 0, 0};
  for (int64_t ky = 0; ky < a.kernel[0]; ++ky) {
    const int64_t iy = y * a.stride[0] - a.padding[0] + ky * a.dilation[0];
    if (iy < 0 || iy >= size.height) continue;
    for (int64_t kx = 0; kx < a.kernel[1]; ++kx) {
      const int64_t ix = x * a.stride[1] - a.padding[1] + kx * a.dilation[1];
      if (ix < 0 || ix >= size.width) continue;
      const double v = in[iy * size.width + ix];
      r.max = std::max(r.max, v);
      r.sum += v;
      ++r.taken;
    }
  }
  return r;
}

}  // namespace

Reals Decode(const Tensor& tensor, const std::optional<QuantParams>& quant) {
  Reals reals{tensor.shape(), std::vector<double>(tensor.elements()), 1};
  if (quant.has_value()) {
    const uint8_t* q = tensor.data<uint8_t>();
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      reals.data[i] = static_cast<int32_t>(q[i]) - quant->zero_point;
    }
    reals.scale = quant->scale;
  } else {
    std::copy_n(tensor.data<float>(), tensor.elements(), reals.data.begin());
  }
  return reals;
}

Tensor Encode(const Reals& reals, const std::optional<Clamp>& clamp,
              const std::optional<QuantParams>& quant) {
  Tensor tensor(quant.has_value() ? DType::kU8 : DType::kF32, reals.shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    double real = reals.at(i);
    if (clamp.has_value()) {
      real = std::min<double>(std::max<double>(real, clamp->lo), clamp->hi);
    }
    if (quant.has_value()) {
      tensor.data<uint8_t>()[i] = QuantizeReal(real, *quant);
    } else {
      tensor.data<float>()[i] = static_cast<float>(real);
    }
  }
  return tensor;
}

void Conv2d(const Node& node, const Reals& in, Reals* out) {
  const auto& attrs = std::get<Conv2dAttrs>(node.attrs);
  const Shape& w = node.weights.data->shape();  // [K, C/groups, kh, kw]
  const int64_t channels = in.shape[1], kernels = w[0], taps = w[2] * w[3];
  const Plane in_size{in.shape[2], in.shape[3]};
  const Plane out_size{out->shape[2], out->shape[3]};
  const int64_t in_plane = in_size.height * in_size.width;
  const int64_t out_plane = out_size.height * out_size.width;
  for (int64_t nk = 0; nk < in.shape[0] * kernels; ++nk) {
    const int64_t n = nk / kernels, k = nk % kernels;
    const int64_t first = k / (kernels / attrs.groups) * w[1];
    double* acc = out->data.data() + nk * out_plane;
    for (int64_t c = 0; c < w[1]; ++c) {
      const double* plane =
          in.data.data() + (n * channels + first + c) * in_plane;
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t ky = t / w[3], kx = t % w[3];
        AddTap({Weight(node.weights, (k * w[1] + c) * taps + t),
                ky * attrs.dilation[0] - attrs.padding[0],
                kx * attrs.dilation[1] - attrs.padding[1], attrs.stride[0],
                attrs.stride[1]},
               in_size, plane, out_size, acc);
      }
    }
    const double scale = in.scale * WeightScale(node.weights, k);
    const double bias = Bias(node.weights, k);
    for (int64_t i = 0; i < out_plane; ++i) acc[i] = acc[i] * scale + bias;
  }
}

void Linear(const Node& node, const Reals& in, Reals* out) {
  const Shape& w = node.weights.data->shape();  // [K, C]
  for (size_t i = 0; i < out->data.size(); ++i) {
    const int64_t row = i / w[0], k = i % w[0];
    double acc = 0;
    for (int64_t c = 0; c < w[1]; ++c) {
      acc += in.data[row * w[1] + c] * Weight(node.weights, k * w[1] + c);
    }
    out->data[i] =
        acc * in.scale * WeightScale(node.weights, k) + Bias(node.weights, k);
  }
}

void Binary(OpKind kind, const Reals& a, const Reals& b, Reals* out) {
  // A [N,C,1,1] operand stands for a plane of equal numbers.
  const int64_t per_a = out->data.size() / std::max<size_t>(a.data.size(), 1);
  const int64_t per_b = out->data.size() / std::max<size_t>(b.data.size(), 1);
  for (size_t i = 0; i < out->data.size(); ++i) {
    const double x = a.at(i / per_a), y = b.at(i / per_b);
    out->data[i] = kind == OpKind::kAdd ? x + y : x * y;
  }
}

void Pool(OpKind kind, const PoolAttrs& attrs, const Reals& in, Reals* out) {
  const Plane in_size{in.shape[2], in.shape[3]};
  const int64_t area = attrs.kernel[0] * attrs.kernel[1];
  for (size_t i = 0; i < out->data.size(); ++i) {
    const int64_t x = i % out->shape[3], y = i / out->shape[3] % out->shape[2];
    const int64_t plane = i / (out->shape[3] * out->shape[2]);
    const WindowResult r =
        Window(attrs, in_size,
               in.data.data() + plane * in_size.height * in_size.width, y, x);
    if (kind == OpKind::kMaxPool) {
      out->data[i] = r.max;
    } else {
      out->data[i] = r.sum / (attrs.count_include_pad ? area : r.taken);
    }
  }
  out->scale = in.scale;
}

void Concat(int64_t axis, const std::vector<Reals>& ins, Reals* out) {
  int64_t outer = 1, offset = 0;
  for (int64_t d = 0; d < axis; ++d) outer *= out->shape[d];
  if (outer == 0) return;
  const int64_t out_run = out->data.size() / outer;
  for (const Reals& in : ins) {
    const int64_t run = in.data.size() / outer;
    for (int64_t i = 0; i < outer * run; ++i) {
      out->data[i / run * out_run + offset + i % run] = in.at(i);
    }
    offset += run;
  }
}

void Slice(const SliceAttrs& attrs, const Reals& in, Reals* out) {
  const std::vector<int64_t> strides = Strides(in.shape);
  int64_t i = 0;
  ForEachIndex(out->shape, [&](const std::vector<int64_t>& index) {
    int64_t from = 0;
    for (size_t d = 0; d < index.size(); ++d) {
      const bool batch = d == 0;
      from += strides[d] *
              (batch ? index[d] : attrs.start[d] + index[d] * attrs.step[d]);
    }
    out->data[i++] = in.data[from];
  });
  out->scale = in.scale;
}

void Permute(const PermuteAttrs& attrs, const Reals& in, Reals* out) {
  const std::vector<int64_t> strides = Strides(in.shape);
  int64_t i = 0;
  ForEachIndex(out->shape, [&](const std::vector<int64_t>& index) {
    int64_t from = 0;
    for (size_t d = 0; d < index.size(); ++d) {
      from += strides[attrs.order[d]] * index[d];
    }
    out->data[i++] = in.data[from];
  });
  out->scale = in.scale;
}

void Pad(const PadAttrs& attrs, const Reals& in, Reals* out) {
  const std::vector<int64_t> strides = Strides(in.shape);
  int64_t i = 0;
  ForEachIndex(out->shape, [&](const std::vector<int64_t>& index) {
    int64_t from = 0;
    bool inside = true;
    for (size_t d = 0; d < index.size(); ++d) {
      const int64_t at = index[d] - attrs.before[d];
      inside = inside && at >= 0 && at < in.shape[d];
      from += strides[d] * at;
    }
    out->data[i++] = inside ? in.at(from) : attrs.value;
  });
}

}  // namespace quantserve::reference
