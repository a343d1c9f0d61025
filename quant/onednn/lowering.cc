#include "quant/onednn/lowering.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/lowerer.h"

namespace quantserve::onednn {
Lowerer::Lowerer(const LoweredPlan& lowered, const LoweringOptions& options,
                 WeightStore* store)
    : lowered_(lowered),
      options_(options),
      store_(store),
      forms_(plan().values.size()),
      written_(plan().values.size(), Layout::kRowMajor),
      pending_(CountReaders(plan())),
      input_index_(plan().values.size(), -1) {
  for (size_t i = 0; i < plan().inputs.size(); ++i) {
    input_index_[plan().inputs[i]] = static_cast<int>(i);
  }
}

ByteGrid Lowerer::Grid(ValueId id) const {
  return GridOf(*plan().value(id).quant, Native(id));
}

int64_t Lowerer::Bytes(ValueId id, Layout layout, ElementType type) const {
  return StoredElements(ShapeOf(id), options_.batch, layout) *
         ElementBytes(type);
}

void Lowerer::SetForm(ValueId id, const Form& form) {
  if (forms_[id].empty()) written_[id] = form.layout;
  forms_[id].push_back(form);
  if (static_cast<size_t>(form.buffer) >= holders_.size()) {
    holders_.resize(form.buffer + 1);
  }
  holders_[form.buffer].push_back(id);
}

BufferId Lowerer::Write(ValueId id, Layout layout, ElementType type) {
  const BufferId buffer = program_.NewBuffer(Bytes(id, layout, type));
  SetForm(id, {layout, type, buffer});
  return buffer;
}

bool Lowerer::LastRead(ValueId id, BufferId buffer) const {
  return pending_[id] == 1 &&
         std::all_of(holders_[buffer].begin(), holders_[buffer].end(),
                     [&](ValueId v) { return v == id || pending_[v] == 0; });
}

absl::StatusOr<BufferId> Lowerer::Read(ValueId id, Layout layout,
                                       ElementType type) {
  if (forms_[id].empty()) {
    // A model input: the caller's memory, copied so that every primitive finds
    // it at its place. (kQuantize reads the caller's memory itself.)
    const int index = input_index_[id];
    const int64_t elements = plan().value(id).elements();
    const BufferId to = Write(id, Layout::kRowMajor, ElementType::kF32);
    program_.AddKernel(absl::StrCat(plan().value(id).name, " input"), {to},
                       [index, elements, to](const RunArgs& run) {
                         std::memcpy(run.at<float>(to), run.inputs[index],
                                     run.batch * elements * sizeof(float));
                         return absl::OkStatus();
                       });
  }
  for (const Form& form : forms_[id]) {
    if (form.type == type && SameBytes(ShapeOf(id), form.layout, layout)) {
      return form.buffer;
    }
  }
  const Form from = forms_[id].front();
  QS_ASSIGN_OR_RETURN(
      const Reorder reorder,
      MakeReorder(DescOf(ShapeOf(id), options_.batch, from.layout, from.type),
                  DescOf(ShapeOf(id), options_.batch, layout, type)));
  const BufferId to = Write(id, layout, type);
  EmitReorder(absl::StrCat(plan().value(id).name, " reorder ",
                           LayoutName(from.layout), ">", LayoutName(layout)),
              reorder, from.buffer, to, &program_);
  return to;
}

// The buffer of the product's result, which holds the other operand of its sum:
// that operand's own buffer if nobody needs it afterwards, else a copy.
absl::StatusOr<BufferId> Lowerer::AccumulateInto(const Node& node,
                                                 const ProductShape& shape,
                                                 Layout layout) {
  const ValueId residual = node.inputs[1], out = node.outputs[0];
  const ElementType type = shape.weights_type == ElementType::kS8
                               ? Native(residual)
                               : shape.out_type;
  QS_ASSIGN_OR_RETURN(const BufferId from, Read(residual, layout, type));
  if (node.inputs[0] != residual && LastRead(residual, from)) {
    SetForm(out, {layout, shape.out_type, from});
    return from;
  }
  const BufferId to = Write(out, layout, shape.out_type);
  const int64_t bytes = Bytes(residual, layout, type);
  program_.AddKernel(
      absl::StrCat(node.name, " copy"), {from, to}, [=](const RunArgs& run) {
        std::memcpy(run.at<std::byte>(to), run.at<std::byte>(from), bytes);
        return absl::OkStatus();
      });
  return to;
}

absl::Status Lowerer::LowerProduct(const Node& node, const Candidate& choice) {
  const ProductShape shape = ShapeOfProduct(lowered_, node, options_);
  std::vector<int8_t> storage;
  const void* data = PlainWeights(node, shape, &storage);
  QS_ASSIGN_OR_RETURN(const void* placed,
                      PlaceWeights(shape, choice, data, store_));
  QS_ASSIGN_OR_RETURN(
      const BufferId in,
      Read(node.inputs[0], shape.linear ? Layout::kRowMajor : choice.in,
           shape.in_type));
  const Layout out_layout = shape.linear ? Layout::kRowMajor : choice.out;
  BufferId out = kNoBuffer;
  if (shape.sum) {
    QS_ASSIGN_OR_RETURN(out, AccumulateInto(node, shape, out_layout));
  } else {
    out = Write(node.outputs[0], out_layout, shape.out_type);
  }
  return EmitProduct(shape, choice, placed, in, out, options_.threads, store_,
                     &program_);
}

absl::Status Lowerer::LowerOutputs() {
  for (size_t o = 0; o < plan().outputs.size(); ++o) {
    const ValueId id = plan().outputs[o];
    const int64_t elements = plan().value(id).elements();
    QS_ASSIGN_OR_RETURN(const BufferId from, Read(id, Layout::kRowMajor));
    program_.AddKernel(absl::StrCat(plan().value(id).name, " output"), {from},
                       [=](const RunArgs& run) {
                         std::memcpy(run.outputs[o], run.at<float>(from),
                                     run.batch * elements * sizeof(float));
                         return absl::OkStatus();
                       });
  }
  return absl::OkStatus();
}

absl::StatusOr<Program> Lowerer::Run(
    const std::vector<const Candidate*>& choices) {
  for (size_t i = 0; i < plan().nodes.size(); ++i) {
    const Node& node = plan().nodes[i];
    QS_RETURN_IF_ERROR(LowerNode(node, choices[i]));
    for (ValueId id : node.inputs) --pending_[id];
  }
  QS_RETURN_IF_ERROR(LowerOutputs());
  program_.Finish();
  return std::move(program_);
}

absl::StatusOr<Program> Lower(const LoweredPlan& lowered,
                              const std::vector<const Candidate*>& choices,
                              const LoweringOptions& options,
                              WeightStore* store) {
  return Lowerer(lowered, options, store).Run(choices);
}

}  // namespace quantserve::onednn
