// kConcat, kSlice, kPad and kPermute: boxes copied between blocks.
#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/lowerer.h"
#include "quant/onednn/strided_copy.h"
#include "quant/plan/reference.h"

namespace quantserve::onednn {
namespace {

// A list with one entry for each dimension, in the order of memory.
std::vector<int64_t> InMemoryOrder(std::vector<int64_t> list, Layout layout) {
  if (list.size() != 4 || layout == Layout::kRowMajor) return list;
  return {list[0], list[2], list[3], list[1]};
}

std::vector<int64_t> MemoryDims(const Shape& shape, int64_t batch,
                                Layout layout) {
  std::vector<int64_t> dims = InMemoryOrder(shape, layout);
  dims[0] = batch;
  return dims;
}

int64_t Offset(const std::vector<int64_t>& position,
               const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t d = 1; d < position.size(); ++d) {
    offset += position[d] * strides[d];
  }
  return offset;
}

Kernel CopyKernel(StridedCopy copy, BufferId from, BufferId to) {
  copy.Simplify();
  return [copy = std::move(copy), from, to](const RunArgs& run) {
    copy.Run(run.at<std::byte>(from), run.at<std::byte>(to));
    return absl::OkStatus();
  };
}

}  // namespace

absl::StatusOr<BufferId> Lowerer::ReadOnGridOf(ValueId out, ValueId in,
                                               Layout layout) {
  QS_ASSIGN_OR_RETURN(const BufferId from, Read(in, layout));
  if (!plan().value(in).quant) return from;
  auto table = Requantize(in, out, std::nullopt);
  if (!table) return from;
  const int64_t bytes = Bytes(in, layout, ElementType::kU8);
  const BufferId moved = program_.NewBuffer(bytes);
  AddLookUp(absl::StrCat(plan().value(in).name, " requantize"),
            std::move(table), bytes, from, moved);
  return moved;
}

absl::Status Lowerer::LowerConcat(const Node& node,
                                  const NodeLayouts& layouts) {
  const ValueId out = node.outputs[0];
  const int64_t axis = std::get<ConcatAttrs>(node.attrs).axis;
  const auto out_strides =
      RowMajorStrides(MemoryDims(ShapeOf(out), options_.batch, layouts.out));
  const BufferId to = Write(out, layouts.out);
  std::vector<int64_t> at(ShapeOf(out).size(), 0);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId in = node.inputs[i];
    QS_ASSIGN_OR_RETURN(const BufferId from,
                        ReadOnGridOf(out, in, layouts.in[i]));
    StridedCopy copy;
    copy.counts = MemoryDims(ShapeOf(in), options_.batch, layouts.in[i]);
    copy.from_strides = RowMajorStrides(copy.counts);
    copy.to_strides = out_strides;
    copy.to_offset = Offset(InMemoryOrder(at, layouts.out), out_strides);
    copy.element_bytes = ElementBytes(Native(out));
    program_.AddKernel(absl::StrCat(node.name, " concat"), {from, to},
                       CopyKernel(std::move(copy), from, to));
    at[axis] += ShapeOf(in)[axis];
  }
  return absl::OkStatus();
}

absl::Status Lowerer::LowerSliceOrPad(const Node& node,
                                      const NodeLayouts& layouts) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  // A frame is padded while it is quantized.
  if (lowered_.frames.count(out) > 0) return absl::OkStatus();
  const Layout layout = layouts.in[0];
  QS_ASSIGN_OR_RETURN(const BufferId from, ReadOnGridOf(out, in, layout));
  const BufferId to = Write(out, layouts.out);
  const auto in_dims = MemoryDims(ShapeOf(in), options_.batch, layout);
  const auto out_dims = MemoryDims(ShapeOf(out), options_.batch, layout);
  StridedCopy copy;
  copy.from_strides = RowMajorStrides(in_dims);
  copy.to_strides = RowMajorStrides(out_dims);
  copy.element_bytes = ElementBytes(Native(out));
  if (node.kind == OpKind::kSlice) {
    const auto& attrs = std::get<SliceAttrs>(node.attrs);
    copy.from_offset =
        Offset(InMemoryOrder(attrs.start, layout), copy.from_strides);
    const auto step = InMemoryOrder(attrs.step, layout);
    for (size_t d = 1; d < step.size(); ++d) copy.from_strides[d] *= step[d];
    copy.counts = out_dims;
  } else {
    const auto& attrs = std::get<PadAttrs>(node.attrs);
    copy.to_offset =
        Offset(InMemoryOrder(attrs.before, layout), copy.to_strides);
    copy.counts = in_dims;
    const int64_t elements =
        StoredElements(ShapeOf(out), options_.batch, layout);
    const auto& quant = plan().value(out).quant;
    const float value = attrs.value;
    const uint8_t byte =
        quant
            ? static_cast<uint8_t>(QuantizeReal(value, *quant) ^ Grid(out).flip)
            : 0;
    const bool bytes = quant.has_value();
    program_.AddKernel(absl::StrCat(node.name, " fill"), {to},
                       [=](const RunArgs& run) {
                         if (bytes) {
                           std::memset(run.at<uint8_t>(to), byte, elements);
                         } else {
                           std::fill_n(run.at<float>(to), elements, value);
                         }
                         return absl::OkStatus();
                       });
  }
  program_.AddKernel(absl::StrCat(node.name, " copy"), {from, to},
                     CopyKernel(std::move(copy), from, to));
  return absl::OkStatus();
}

absl::Status Lowerer::LowerPermute(const Node& node,
                                   const NodeLayouts& layouts) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  const Shape& order = std::get<PermuteAttrs>(node.attrs).order;
  QS_ASSIGN_OR_RETURN(const BufferId from,
                      ReadOnGridOf(out, in, layouts.in[0]));
  const auto in_dims = MemoryDims(ShapeOf(in), options_.batch, layouts.in[0]);
  const auto out_dims = MemoryDims(ShapeOf(out), options_.batch, layouts.out);
  // Where each dimension of the input lies, named as the plan names it.
  std::vector<int64_t> strides = RowMajorStrides(in_dims);
  if (layouts.in[0] == Layout::kChannelsLast) {
    strides = {strides[0], strides[3], strides[1], strides[2]};
  }
  std::vector<int64_t> permuted;
  for (int64_t d : order) permuted.push_back(strides[d]);
  StridedCopy copy;
  copy.counts = out_dims;
  copy.from_strides = InMemoryOrder(permuted, layouts.out);
  copy.to_strides = RowMajorStrides(out_dims);
  copy.element_bytes = ElementBytes(Native(out));
  if (copy.from_strides == copy.to_strides) {
    SetForm(out, {layouts.out, Native(out), from});
    return absl::OkStatus();
  }
  const BufferId to = Write(out, layouts.out);
  program_.AddKernel(absl::StrCat(node.name, " permute"), {from, to},
                     CopyKernel(std::move(copy), from, to));
  return absl::OkStatus();
}

}  // namespace quantserve::onednn
