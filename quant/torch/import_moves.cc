// Importers of what moves numbers and computes none: reshapes, permutations,
// slices, padding, concatenation. See import_ops.h.
#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "quant/torch/import_ops.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

const jit::Value* Output(const jit::Node* node) { return node->outputs()[0]; }

// Takes [start, start + length) of dimension `dim` of `x`; the dimension is
// dropped if the output has one less.
void AppendRange(ValueId x, int64_t dim, int64_t start, int64_t length,
                 const jit::Value* output, ImportContext* context) {
  const Shape in = context->plan().value(x).shape;
  Shape cut = in;
  cut[dim] = length;
  SliceAttrs attrs{Shape(in.size(), 0), Shape(in.size(), 1)};
  attrs.start[dim] = start;
  if (context->ShapeOf(output) == cut) {
    context->Append(OpKind::kSlice, {x}, output, attrs);
    return;
  }
  const ValueId slice = context->AppendInner(
      OpKind::kSlice, x, output->debugName() + ".slice", cut, attrs);
  context->Append(OpKind::kReshape, {slice}, output);
}

// The dimension at input `i`, not the batch's.
std::optional<int64_t> Dimension(const jit::Node* node, size_t i, size_t rank,
                                 const ImportContext& context) {
  auto dim = context.Int(node, i);
  if (!dim) return std::nullopt;
  if (*dim < 0) *dim += static_cast<int64_t>(rank);
  if (*dim < 1 || *dim >= static_cast<int64_t>(rank)) return std::nullopt;
  return dim;
}

}  // namespace

// flatten, view, reshape, squeeze, unsqueeze: the row-major order stays, and
// dimension 0 is the batch before and after (else `v` were no plan value).
bool ImportReshape(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  if (!input) return false;
  context->Append(OpKind::kReshape, {*input}, Output(node));
  return true;
}

// aten::cat(list, dim)
bool ImportCat(const jit::Node* node, ImportContext* context) {
  const jit::Node* list = node->input(0)->node();
  auto axis = context->Int(node, 1);
  if (list->kind() != c10::prim::ListConstruct || !axis) return false;
  std::vector<ValueId> inputs;
  for (const jit::Value* v : list->inputs()) {
    const auto id = context->Find(v);
    if (!id) return false;
    inputs.push_back(*id);
  }
  if (*axis < 0) *axis += context->ShapeOf(Output(node)).size();
  if (inputs.empty() || *axis < 1) return false;
  if (inputs.size() == 1) {
    context->Alias(Output(node), inputs[0]);
    return true;
  }
  context->Append(OpKind::kConcat, std::move(inputs), Output(node),
                  ConcatAttrs{*axis});
  return true;
}

// aten::slice(x, dim, start, end, step)
bool ImportSlice(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  auto dim = context->Int(node, 1);
  auto start = context->Int(node, 2);
  const auto step = context->Int(node, 4);
  if (!start && context->IsNone(node, 2)) start = 0;
  if (!input || !dim || !start || !step || *step < 1) return false;
  const Shape& in = context->ShapeOf(node->input(0));
  const int64_t rank = static_cast<int64_t>(in.size());
  if (*dim < 0) *dim += rank;
  if (in == context->ShapeOf(Output(node)) && *step == 1) {
    context->Alias(Output(node), *input);  // x[:]
    return true;
  }
  if (*dim < 1 || *dim >= rank) return false;
  if (*start < 0) *start = std::max<int64_t>(0, *start + in[*dim]);
  SliceAttrs attrs{Shape(rank, 0), Shape(rank, 1)};
  attrs.start[*dim] = *start;
  attrs.step[*dim] = *step;
  context->Append(OpKind::kSlice, {*input}, Output(node), attrs);
  return true;
}

// aten::constant_pad_nd(x, widths, value) and
// aten::pad(x, widths, "constant", value); widths from the last dimension on.
bool ImportPad(const jit::Node* node, ImportContext* context) {
  const bool general = node->kind() != c10::aten::constant_pad_nd;
  const auto input = context->Find(node->input(0));
  const auto list = jit::toIValue(node->input(1));
  if (!input || !list || !list->isIntList()) return false;
  if (general) {
    const auto mode = jit::toIValue(node->input(2));
    if (!mode || !mode->isString() || mode->toStringRef() != "constant") {
      return false;
    }
  }
  const size_t value_at = general ? 3 : 2;
  const auto value = context->Number(node, value_at);
  if (!value && !context->IsNone(node, value_at)) return false;
  const Shape widths = list->toIntVector();
  const size_t rank = context->ShapeOf(node->input(0)).size();
  if (widths.size() % 2 != 0 || widths.size() / 2 >= rank) return false;
  PadAttrs attrs{Shape(rank, 0), Shape(rank, 0),
                 static_cast<float>(value.value_or(0.0))};
  for (size_t i = 0; i < widths.size() / 2; ++i) {
    attrs.before[rank - 1 - i] = widths[2 * i];
    attrs.after[rank - 1 - i] = widths[2 * i + 1];
    if (widths[2 * i] < 0 || widths[2 * i + 1] < 0) return false;
  }
  context->Append(OpKind::kPad, {*input}, Output(node), attrs);
  return true;
}

// aten::permute(x, dims) and aten::transpose(x, dim0, dim1)
bool ImportPermute(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  if (!input) return false;
  const int64_t rank =
      static_cast<int64_t>(context->ShapeOf(node->input(0)).size());
  Shape order(rank);
  std::iota(order.begin(), order.end(), 0);
  const auto positive = [rank](int64_t d) { return d < 0 ? d + rank : d; };
  if (node->kind() == c10::aten::transpose) {
    const auto a = context->Int(node, 1), b = context->Int(node, 2);
    if (!a || !b) return false;
    std::swap(order.at(positive(*a)), order.at(positive(*b)));
  } else {
    const auto dims = context->Ints(node, 1, rank);
    if (!dims) return false;
    std::transform(dims->begin(), dims->end(), order.begin(), positive);
  }
  if (order[0] != 0) return false;
  context->Append(OpKind::kPermute, {*input}, Output(node),
                  PermuteAttrs{std::move(order)});
  return true;
}

// aten::narrow(x, dim, start, length)
bool ImportNarrow(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  if (!input) return false;
  const Shape& in = context->ShapeOf(node->input(0));
  const auto dim = Dimension(node, 1, in.size(), *context);
  const auto start = context->Int(node, 2), length = context->Int(node, 3);
  if (!dim || !start || !length) return false;
  AppendRange(*input, *dim, *start < 0 ? *start + in[*dim] : *start, *length,
              Output(node), context);
  return true;
}

// aten::select(x, dim, index)
bool ImportSelect(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  if (!input) return false;
  const Shape& in = context->ShapeOf(node->input(0));
  const auto dim = Dimension(node, 1, in.size(), *context);
  const auto index = context->Int(node, 2);
  if (!dim || !index) return false;
  AppendRange(*input, *dim, *index < 0 ? *index + in[*dim] : *index, 1,
              Output(node), context);
  return true;
}

namespace {

// aten::chunk(x, chunks, dim), aten::split(x, size, dim),
// aten::split_with_sizes(x, sizes, dim) and aten::unbind(x, dim): where each
// part starts along `dim`, and where the last one ends.
struct Parts {
  ValueId x = 0;
  int64_t dim = 0;
  std::vector<int64_t> starts;
};

std::optional<Parts> ReadParts(const jit::Node* node,
                               const ImportContext& context) {
  const std::string kind = node->kind().toQualString();
  const bool unbind = kind == "aten::unbind";
  if (kind != "aten::chunk" && kind != "aten::split" &&
      kind != "aten::split_with_sizes" && !unbind) {
    return std::nullopt;
  }
  const auto x = context.Find(node->input(0));
  if (!x) return std::nullopt;
  const Shape& in = context.ShapeOf(node->input(0));
  const auto dim = Dimension(node, unbind ? 1 : 2, in.size(), context);
  if (!dim) return std::nullopt;
  Parts parts{*x, *dim, {0}};
  const int64_t all = in[*dim];
  int64_t step = 1;
  if (!unbind) {
    const auto number = context.Int(node, 1);
    if (!number) {
      const auto sizes = context.AnyInts(node, 1);
      if (!sizes) return std::nullopt;
      for (int64_t size : *sizes) {
        parts.starts.push_back(parts.starts.back() + size);
      }
      return parts;
    }
    if (*number < 1) return std::nullopt;
    step = kind == "aten::chunk" ? (all + *number - 1) / *number : *number;
  }
  while (parts.starts.back() < all) {
    parts.starts.push_back(std::min(all, parts.starts.back() + step));
  }
  return parts;
}

void AppendPart(const Parts& parts, size_t i, const jit::Value* output,
                ImportContext* context) {
  AppendRange(parts.x, parts.dim, parts.starts[i],
              parts.starts[i + 1] - parts.starts[i], output, context);
}

}  // namespace

bool ImportUnpack(const jit::Node* node,
                  const std::vector<jit::Value*>& outputs,
                  ImportContext* context) {
  if (node->kind() != c10::prim::ListUnpack) return false;
  const auto parts = ReadParts(node->input(0)->node(), *context);
  if (!parts || parts->starts.size() != node->outputs().size() + 1) {
    return false;
  }
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    const jit::Value* v = node->outputs()[i];
    if (std::find(outputs.begin(), outputs.end(), v) == outputs.end()) continue;
    AppendPart(*parts, i, v, context);
  }
  return true;
}

// aten::__getitem__(list, index)
bool ImportGetItem(const jit::Node* node, ImportContext* context) {
  const auto parts = ReadParts(node->input(0)->node(), *context);
  auto index = context->Int(node, 1);
  if (!parts || !index) return false;
  const int64_t count = static_cast<int64_t>(parts->starts.size()) - 1;
  if (*index < 0) *index += count;
  if (*index < 0 || *index >= count) return false;
  AppendPart(*parts, *index, Output(node), context);
  return true;
}

}  // namespace quantserve
