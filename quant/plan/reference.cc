#include "quant/plan/reference.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/plan/reference_kernels.h"

namespace quantserve {
namespace {

using reference::Reals;

Shape BatchShape(const Value& value, int64_t batch) {
  Shape shape = value.shape;
  if (!shape.empty()) shape[0] *= batch;
  return shape;
}

// An island computes in FP32, so that is what it is given and what is taken.
absl::Status RunIsland(const Island& island, const std::vector<Reals>& ins,
                       std::vector<Reals>* outs) {
  std::vector<std::vector<float>> in_data, out_data;
  std::vector<const float*> in_pointers;
  std::vector<float*> out_pointers;
  std::vector<Shape> in_shapes, out_shapes;
  for (const Reals& in : ins) {
    std::vector<float> data(in.data.size());
    for (size_t i = 0; i < data.size(); ++i) {
      data[i] = static_cast<float>(in.at(i));
    }
    in_data.push_back(std::move(data));
    in_pointers.push_back(in_data.back().data());
    in_shapes.push_back(in.shape);
  }
  for (const Reals& out : *outs) {
    out_data.emplace_back(out.data.size());
    out_pointers.push_back(out_data.back().data());
    out_shapes.push_back(out.shape);
  }
  QS_RETURN_IF_ERROR(
      island.Run(in_pointers, in_shapes, out_pointers, out_shapes));
  for (size_t o = 0; o < outs->size(); ++o) {
    std::copy(out_data[o].begin(), out_data[o].end(), (*outs)[o].data.begin());
  }
  return absl::OkStatus();
}

// The optional second input of a product.
void AddSecondInput(const std::vector<Reals>& ins, Reals* out) {
  if (ins.size() < 2) return;
  for (size_t i = 0; i < out->data.size(); ++i) out->data[i] += ins[1].at(i);
}

// All kinds but quantized kUnary, whose table maps codes, not reals.
absl::Status Compute(const Node& node, const std::vector<Reals>& ins,
                     std::vector<Reals>* outs) {
  Reals* out = &outs->front();
  switch (node.kind) {
    case OpKind::kQuantize:
    case OpKind::kDequantize:
    case OpKind::kClamp:
    case OpKind::kReshape:
      out->data = ins[0].data;
      out->scale = ins[0].scale;
      return absl::OkStatus();
    case OpKind::kConv2d:
      reference::Conv2d(node, ins[0], out);
      AddSecondInput(ins, out);
      return absl::OkStatus();
    case OpKind::kLinear:
      reference::Linear(node, ins[0], out);
      AddSecondInput(ins, out);
      return absl::OkStatus();
    case OpKind::kAdd:
    case OpKind::kMul:
      reference::Binary(node.kind, ins[0], ins[1], out);
      return absl::OkStatus();
    case OpKind::kMaxPool:
    case OpKind::kAvgPool:
      reference::Pool(node.kind, std::get<PoolAttrs>(node.attrs), ins[0], out);
      return absl::OkStatus();
    case OpKind::kConcat:
      reference::Concat(std::get<ConcatAttrs>(node.attrs).axis, ins, out);
      return absl::OkStatus();
    case OpKind::kSlice:
      reference::Slice(std::get<SliceAttrs>(node.attrs), ins[0], out);
      return absl::OkStatus();
    case OpKind::kPermute:
      reference::Permute(std::get<PermuteAttrs>(node.attrs), ins[0], out);
      return absl::OkStatus();
    case OpKind::kPad:
      reference::Pad(std::get<PadAttrs>(node.attrs), ins[0], out);
      return absl::OkStatus();
    case OpKind::kUnary:
      return RunIsland(*std::get<UnaryAttrs>(node.attrs).island, ins, outs);
    case OpKind::kIsland:
      return RunIsland(*std::get<IslandAttrs>(node.attrs).island, ins, outs);
  }
  return absl::InternalError(
      absl::StrCat("node \"", node.name, "\" is of no known kind"));
}

bool UsesTable(const Plan& plan, const Node& node) {
  return node.kind == OpKind::kUnary &&
         plan.value(node.inputs[0]).quant.has_value() &&
         std::get<UnaryAttrs>(node.attrs).table != nullptr;
}

Tensor LookUp(const UnaryTable& table, const Tensor& in) {
  Tensor out(DType::kU8, in.shape());
  for (int64_t i = 0; i < in.elements(); ++i) {
    out.data<uint8_t>()[i] = table[in.data<uint8_t>()[i]];
  }
  return out;
}

absl::Status RunNode(const Plan& plan, const Node& node, int64_t batch,
                     std::vector<Tensor>* values) {
  if (UsesTable(plan, node)) {
    (*values)[node.outputs[0]] = LookUp(*std::get<UnaryAttrs>(node.attrs).table,
                                        (*values)[node.inputs[0]]);
    return absl::OkStatus();
  }
  std::vector<Reals> ins, outs;
  for (ValueId id : node.inputs) {
    ins.push_back(reference::Decode((*values)[id], plan.value(id).quant));
  }
  for (ValueId id : node.outputs) {
    const size_t elements = plan.value(id).elements() * batch;
    outs.push_back(
        {BatchShape(plan.value(id), batch), std::vector<double>(elements), 1});
  }
  QS_RETURN_IF_ERROR(Compute(node, ins, &outs));
  for (size_t o = 0; o < outs.size(); ++o) {
    const ValueId id = node.outputs[o];
    (*values)[id] =
        reference::Encode(outs[o], node.clamp, plan.value(id).quant);
  }
  return absl::OkStatus();
}

}  // namespace

uint8_t QuantizeReal(double real, const QuantParams& params) {
  if (std::isnan(real)) real = 0;
  const double q = std::nearbyint(real / params.scale) + params.zero_point;
  return static_cast<uint8_t>(
      std::clamp<double>(q, QuantParams::kMin, QuantParams::kMax));
}

absl::StatusOr<std::vector<Tensor>> RunReferenceValues(
    const Plan& plan, int64_t batch, absl::Span<const float* const> inputs) {
  if (batch < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch is ", batch, ", want at least 1"));
  }
  if (inputs.size() != plan.inputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        inputs.size(), " inputs given, the plan has ", plan.inputs.size()));
  }
  QS_RETURN_IF_ERROR(plan.Validate());
  std::vector<Tensor> values(plan.values.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& value = plan.value(plan.inputs[i]);
    Tensor tensor(DType::kF32, BatchShape(value, batch));
    std::copy_n(inputs[i], tensor.elements(), tensor.data<float>());
    values[plan.inputs[i]] = std::move(tensor);
  }
  for (const Node& node : plan.nodes) {
    QS_RETURN_IF_ERROR(RunNode(plan, node, batch, &values));
  }
  return values;
}

absl::Status RunReference(const Plan& plan, int64_t batch,
                          absl::Span<const float* const> inputs,
                          absl::Span<float* const> outputs) {
  QS_ASSIGN_OR_RETURN(const std::vector<Tensor> values,
                      RunReferenceValues(plan, batch, inputs));
  if (outputs.size() != plan.outputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        outputs.size(), " outputs given, the plan has ", plan.outputs.size()));
  }
  for (size_t o = 0; o < outputs.size(); ++o) {
    const Tensor& tensor = values[plan.outputs[o]];
    std::copy_n(tensor.data<float>(), tensor.elements(), outputs[o]);
  }
  return absl::OkStatus();
}

}  // namespace quantserve
