// Importers of convolutions in one and two dimensions, forwards and transposed.
// See import_ops.h.
#include <algorithm>
#include <array>
#include <string>

#include "quant/torch/import_ops.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

const jit::Value* Output(const jit::Node* node) { return node->outputs()[0]; }

// Everything that the forms of a convolution have in common, as if in two
// dimensions: those in one are one pixel high.
struct Convolution {
  at::Tensor weight;  // [K, C/groups, kh, kw]; transposed: [C, K/groups, …]
  std::vector<float> bias;
  std::array<int64_t, 2> stride{1, 1}, padding{0, 0}, dilation{1, 1};
  std::array<int64_t, 2> output_padding{0, 0};
  int64_t groups = 1;
  bool transposed = false;
};

// The positions of the arguments, 0 for those that are not there.
struct Arguments {
  size_t stride, padding, dilation, groups, output_padding, transposed;
};

Arguments ArgumentsOf(const jit::Node* node) {
  const std::string kind = node->kind().toQualString();
  // (x, w, b, stride, padding, dilation, transposed, output_padding, groups, …)
  if (kind == "aten::_convolution") return {3, 4, 5, 8, 7, 6};
  // (x, w, b, stride, padding, output_padding, groups, dilation)
  if (kind.find("transpose") != std::string::npos) return {3, 4, 7, 6, 5, 0};
  return {3, 4, 5, 6, 0, 0};  // (x, w, b, stride, padding, dilation, groups)
}

std::optional<Convolution> Read(const jit::Node* node,
                                const ImportContext& context) {
  const auto weight = context.Constant(node, 1);
  if (!context.Find(node->input(0)) || !weight || weight->dim() < 3 ||
      weight->dim() > 4) {
    return std::nullopt;
  }
  const size_t rank = weight->dim() - 2;
  if (context.ShapeOf(node->input(0)).size() != rank + 2) return std::nullopt;
  const Arguments at = ArgumentsOf(node);
  Convolution c;
  const auto read = [&](size_t i, std::array<int64_t, 2>* pair) {
    const auto list = context.Ints(node, i, rank);
    if (!list) return false;
    for (size_t d = 0; d < rank; ++d) (*pair)[2 - rank + d] = (*list)[d];
    return true;
  };
  const auto groups = context.Int(node, at.groups);
  if (!read(at.stride, &c.stride) || !read(at.padding, &c.padding) ||
      !read(at.dilation, &c.dilation) || !groups ||
      (at.output_padding > 0 && !read(at.output_padding, &c.output_padding))) {
    return std::nullopt;
  }
  c.groups = *groups;
  const std::string kind = node->kind().toQualString();
  c.transposed = kind.find("transpose") != std::string::npos;
  if (at.transposed > 0) {
    const auto transposed = context.Bool(node, at.transposed);
    if (!transposed) return std::nullopt;
    c.transposed = *transposed;
  }
  if (!context.IsNone(node, 2)) {
    const auto bias = context.Constant(node, 2);
    if (!bias || bias->dim() != 1) return std::nullopt;
    c.bias = ToVector(*bias);
  }
  c.weight = rank == 2 ? *weight : weight->unsqueeze(2);
  return c;
}

// [N,C,L] as [N,C,1,L]; images stay.
ValueId AsImage(ValueId id, const std::string& name, ImportContext* context) {
  const Shape shape = context->plan().value(id).shape;
  if (shape.size() == 4) return id;
  return context->AppendInner(OpKind::kReshape, id, name + ".image",
                              {1, shape[1], 1, shape[2]});
}

void AppendConvolution(const jit::Node* node, const Convolution& c,
                       ImportContext* context) {
  const std::string& name = Output(node)->debugName();
  const ValueId in = AsImage(*context->Find(node->input(0)), name, context);
  Conv2dAttrs attrs;
  attrs.stride = c.stride;
  attrs.dilation = c.dilation;
  attrs.padding = {c.padding[0], c.padding[1], c.padding[0], c.padding[1]};
  attrs.groups = c.groups;
  const Weights weights{
      std::make_shared<const Tensor>(ToTensor(c.weight)), {}, c.bias};
  const Shape& out = context->ShapeOf(Output(node));
  if (out.size() == 4) {
    context->Append(OpKind::kConv2d, {in}, Output(node), attrs).weights =
        weights;
    return;
  }
  const ValueId image = context->AppendInner(
      OpKind::kConv2d, in, name + ".convolved", {1, out[1], 1, out[2]}, attrs);
  context->plan().nodes.back().weights = weights;
  context->Append(OpKind::kReshape, {image}, Output(node));
}

// One dimension of a transposed convolution with the stride s, the window k and
// the padding p. Output y = s q + r - p, 0 <= r < s, takes from input i the tap
// y + p - s i = s (q - i) + r. For each phase r this is an ordinary convolution
// over the input with ceil(k / s) taps, s apart in the window, in reverse.
struct Phases {
  int64_t stride, window, padding, in, out;
  int64_t taps() const { return (window + stride - 1) / stride; }
  // Positions q, with taps() - 1 zeros at either end of the input.
  int64_t positions() const { return in + taps() - 1; }
  bool Covers() const {
    return (out - 1 + padding) / stride < positions() &&
           padding + out <= positions() * stride;
  }
};

// The weights [K sh sw, C, taps, taps] of all phases.
std::shared_ptr<const Tensor> PhaseWeights(const at::Tensor& weight,
                                           const Phases& h, const Phases& w) {
  const int64_t c_in = weight.size(0), k_out = weight.size(1);
  const at::Tensor dense = weight.contiguous();
  const float* from = dense.data_ptr<float>();
  auto made = std::make_shared<Tensor>(
      DType::kF32,
      Shape{k_out * h.stride * w.stride, c_in, h.taps(), w.taps()});
  float* to = made->data<float>();
  for (int64_t k = 0; k < k_out; ++k) {
    for (int64_t r = 0; r < h.stride; ++r) {
      for (int64_t s = 0; s < w.stride; ++s) {
        for (int64_t c = 0; c < c_in; ++c) {
          for (int64_t m = 0; m < h.taps(); ++m) {
            for (int64_t n = 0; n < w.taps(); ++n) {
              const int64_t y = h.stride * (h.taps() - 1 - m) + r;
              const int64_t x = w.stride * (w.taps() - 1 - n) + s;
              const bool inside = y < h.window && x < w.window;
              *to++ =
                  inside ? from[((c * k_out + k) * h.window + y) * w.window + x]
                         : 0.0f;
            }
          }
        }
      }
    }
  }
  return made;
}

}  // namespace

bool ImportConvolution(const jit::Node* node, ImportContext* context) {
  const auto c = Read(node, *context);
  if (!c) return false;
  if (c->transposed) return ImportTransposed(node, context);
  AppendConvolution(node, *c, context);
  return true;
}

// All phases as one convolution, then interleaved: [N, K sh sw, Qh, Qw] ->
// [N, K, Qh, sh, Qw, sw] -> [N, K, Qh sh, Qw sw], cut to the output's size.
bool ImportTransposed(const jit::Node* node, ImportContext* context) {
  const auto c = Read(node, *context);
  if (!c || !c->transposed || c->groups != 1 ||
      c->dilation != std::array<int64_t, 2>{1, 1}) {
    return false;
  }
  const auto flat = [](const Shape& s) {
    return s.size() == 4 ? s : Shape{s[0], s[1], 1, s[2]};
  };
  const Shape in = flat(context->ShapeOf(node->input(0)));
  const Shape out = flat(context->ShapeOf(Output(node)));
  const Phases h{c->stride[0], c->weight.size(2), c->padding[0], in[2], out[2]};
  const Phases w{c->stride[1], c->weight.size(3), c->padding[1], in[3], out[3]};
  if (!h.Covers() || !w.Covers()) return false;

  const std::string& name = Output(node)->debugName();
  const int64_t k = out[1], qh = h.positions(), qw = w.positions();
  ValueId id = AsImage(*context->Find(node->input(0)), name, context);
  Conv2dAttrs attrs;
  attrs.padding = {h.taps() - 1, w.taps() - 1, h.taps() - 1, w.taps() - 1};
  id = context->AppendInner(OpKind::kConv2d, id, name + ".phases",
                            {1, k * h.stride * w.stride, qh, qw}, attrs);
  Weights& weights = context->plan().nodes.back().weights;
  weights.data = PhaseWeights(c->weight, h, w);
  for (float b : c->bias) {
    weights.bias.insert(weights.bias.end(), h.stride * w.stride, b);
  }
  id = context->AppendInner(OpKind::kReshape, id, name + ".split",
                            {1, k, h.stride, w.stride, qh, qw});
  id = context->AppendInner(OpKind::kPermute, id, name + ".interleaved",
                            {1, k, qh, h.stride, qw, w.stride},
                            PermuteAttrs{{0, 1, 4, 2, 5, 3}});
  id = context->AppendInner(OpKind::kReshape, id, name + ".joined",
                            {1, k, qh * h.stride, qw * w.stride});
  const SliceAttrs cut{{0, 0, h.padding, w.padding}, {1, 1, 1, 1}};
  if (context->ShapeOf(Output(node)).size() == 4) {
    context->Append(OpKind::kSlice, {id}, Output(node), cut);
    return true;
  }
  id = context->AppendInner(OpKind::kSlice, id, name + ".cut", out, cut);
  context->Append(OpKind::kReshape, {id}, Output(node));
  return true;
}

}  // namespace quantserve
