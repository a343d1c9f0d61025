// The nodes that run as loops of our own.
#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/lowerer.h"
#include "quant/onednn/parallel.h"
#include "quant/onednn/strided_copy.h"
#include "quant/plan/reference.h"

namespace quantserve::onednn {
namespace {

// What no clamp means.
Clamp Unbounded() {
  return {-std::numeric_limits<float>::infinity(),
          std::numeric_limits<float>::infinity()};
}

}  // namespace

absl::Status Lowerer::LowerNode(const Node& node, const Candidate* choice) {
  if (IsProduct(node)) {
    if (choice == nullptr) {
      return absl::InternalError(
          absl::StrCat("oneDNN has no implementation for \"", node.name, "\""));
    }
    return LowerProduct(node, *choice);
  }
  const NodeLayouts layouts = LayoutsOf(plan(), node, written_, nullptr);
  switch (node.kind) {
    case OpKind::kConv2d:
    case OpKind::kLinear:
      break;
    case OpKind::kQuantize:
      return LowerQuantize(node, layouts);
    case OpKind::kDequantize:
      return LowerDequantize(node, layouts);
    case OpKind::kAdd:
    case OpKind::kMul:
      return LowerBinary(node, layouts);
    case OpKind::kMaxPool:
    case OpKind::kAvgPool:
      return LowerPool(node, layouts);
    case OpKind::kReshape:
      return LowerReshape(node);
    case OpKind::kConcat:
      return LowerConcat(node, layouts);
    case OpKind::kSlice:
    case OpKind::kPad:
      return LowerSliceOrPad(node, layouts);
    case OpKind::kPermute:
      return LowerPermute(node, layouts);
    case OpKind::kClamp:
      return LowerClamp(node, layouts);
    case OpKind::kUnary:
      return LowerUnary(node, layouts);
    case OpKind::kIsland:
      return LowerIsland(node);
  }
  return absl::InternalError(
      absl::StrCat("node \"", node.name, "\" is of no known kind"));
}

absl::Status Lowerer::LowerBinary(const Node& node,
                                  const NodeLayouts& layouts) {
  const ValueId a = node.inputs[0], b = node.inputs[1], out = node.outputs[0];
  QS_ASSIGN_OR_RETURN(const BufferId from_a, Read(a, layouts.in[0]));
  QS_ASSIGN_OR_RETURN(const BufferId from_b, Read(b, layouts.in[1]));
  const BufferId to = Write(out, layouts.out);
  const View view = ViewOf(ShapeOf(out), options_.batch, layouts.out);
  BinaryShape shape;
  shape.multiply = node.kind == OpKind::kMul;
  shape.run = view.c;
  int64_t rows = view.n * view.h * view.w;
  if (ShapeOf(a) != ShapeOf(b)) {
    shape.rows_per_b = view.h * view.w;
  } else if (options_.threads == 1) {
    shape.run *= rows;
    rows = 1;
  }
  const Clamp clamp = node.clamp.value_or(Unbounded());
  const bool bytes = plan().value(out).quant.has_value();
  const ByteGrid none;
  const ByteGrid grid_a = bytes ? Grid(a) : none;
  const ByteGrid grid_b = bytes ? Grid(b) : none;
  const ByteGrid grid_out = bytes ? Grid(out) : none;
  const int threads = options_.threads;
  program_.AddKernel(
      absl::StrCat(node.name, shape.multiply ? " mul" : " add"),
      {from_a, from_b, to}, [=](const RunArgs& run) {
        ParallelRows(threads, rows, [&](Rows range) {
          if (bytes) {
            Kernels().binary_u8(shape, grid_a, grid_b, grid_out, clamp.lo,
                                clamp.hi, range, run.at<uint8_t>(from_a),
                                run.at<uint8_t>(from_b), run.at<uint8_t>(to));
          } else {
            Kernels().binary_f32(shape, clamp.lo, clamp.hi, range,
                                 run.at<float>(from_a), run.at<float>(from_b),
                                 run.at<float>(to));
          }
        });
        return absl::OkStatus();
      });
  return absl::OkStatus();
}

absl::Status Lowerer::LowerPool(const Node& node, const NodeLayouts& layouts) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  QS_ASSIGN_OR_RETURN(const BufferId from, Read(in, layouts.in[0]));
  const BufferId to = Write(out, layouts.out);
  const auto& attrs = std::get<PoolAttrs>(node.attrs);
  const View view = ViewOf(ShapeOf(in), options_.batch, layouts.in[0]);
  PoolShape shape;
  shape.max = node.kind == OpKind::kMaxPool;
  shape.height = view.h;
  shape.width = view.w;
  shape.channels = view.c;
  shape.out_height = ShapeOf(out)[2];
  shape.out_width = ShapeOf(out)[3];
  for (int d = 0; d < 2; ++d) {
    shape.kernel[d] = attrs.kernel[d];
    shape.stride[d] = attrs.stride[d];
    shape.dilation[d] = attrs.dilation[d];
    shape.pad[d] = attrs.padding[d];
  }
  shape.count_include_pad = attrs.count_include_pad;
  const bool bytes = plan().value(in).quant.has_value();
  const ByteGrid none;
  const ByteGrid grid_in = bytes ? Grid(in) : none;
  const ByteGrid grid_out = bytes ? Grid(out) : none;
  const int64_t rows = view.n * shape.out_height;
  const int threads = options_.threads;
  program_.AddKernel(
      absl::StrCat(node.name, " pool"), {from, to}, [=](const RunArgs& run) {
        ParallelRows(threads, rows, [&](Rows range) {
          if (!bytes) {
            Kernels().pool_f32(shape, range, run.at<float>(from),
                               run.at<float>(to));
          } else if (shape.max) {
            Kernels().max_pool_u8(shape, grid_in.flip, range,
                                  run.at<uint8_t>(from), run.at<uint8_t>(to));
          } else {
            Kernels().average_pool_u8(shape, grid_in, grid_out, range,
                                      run.at<uint8_t>(from),
                                      run.at<uint8_t>(to));
          }
        });
        return absl::OkStatus();
      });
  // The maximum of bytes is still on the input's grid.
  if (bytes && shape.max) {
    if (auto table = Requantize(in, out, std::nullopt)) {
      AddLookUp(absl::StrCat(node.name, " requantize"), std::move(table),
                Bytes(out, layouts.out, ElementType::kU8), to, to);
    }
  }
  return absl::OkStatus();
}

absl::Status Lowerer::LowerReshape(const Node& node) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  QS_ASSIGN_OR_RETURN(const BufferId from, Read(in, Layout::kRowMajor));
  std::shared_ptr<const UnaryTable> table;
  if (plan().value(in).quant) table = Requantize(in, out, std::nullopt);
  if (!table) {
    SetForm(out, {Layout::kRowMajor, Native(out), from});
    return absl::OkStatus();
  }
  const BufferId to = Write(out, Layout::kRowMajor);
  AddLookUp(absl::StrCat(node.name, " requantize"), std::move(table),
            Bytes(out, Layout::kRowMajor, ElementType::kU8), from, to);
  return absl::OkStatus();
}

absl::Status Lowerer::LowerIsland(const Node& node) {
  std::vector<BufferId> from, to, all;
  std::vector<Shape> in_shapes, out_shapes;
  for (ValueId id : node.inputs) {
    QS_ASSIGN_OR_RETURN(const BufferId buffer, Read(id, Layout::kRowMajor));
    from.push_back(buffer);
    in_shapes.push_back(ShapeOf(id));
  }
  for (ValueId id : node.outputs) {
    to.push_back(Write(id, Layout::kRowMajor));
    out_shapes.push_back(ShapeOf(id));
  }
  all = from;
  all.insert(all.end(), to.begin(), to.end());
  const auto island = std::get<IslandAttrs>(node.attrs).island;
  program_.AddKernel(absl::StrCat(node.name, " ", island->op()), std::move(all),
                     [=](const RunArgs& run) {
                       std::vector<const float*> ins;
                       std::vector<float*> outs;
                       std::vector<Shape> ins_shapes = in_shapes,
                                          outs_shapes = out_shapes;
                       for (BufferId id : from)
                         ins.push_back(run.at<const float>(id));
                       for (BufferId id : to) outs.push_back(run.at<float>(id));
                       for (Shape& shape : ins_shapes) shape[0] = run.batch;
                       for (Shape& shape : outs_shapes) shape[0] = run.batch;
                       return island->Run(ins, ins_shapes, outs, outs_shapes);
                     });
  return absl::OkStatus();
}

}  // namespace quantserve::onednn
