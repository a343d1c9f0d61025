// The state of one Lower() call. Internal to lowering*.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quant/onednn/lowering.h"

namespace quantserve::onednn {

// A value in memory, in one of its forms.
struct Form {
  Layout layout = Layout::kRowMajor;
  ElementType type = ElementType::kF32;
  BufferId buffer = kNoBuffer;
};

class Lowerer {
 public:
  Lowerer(const LoweredPlan& lowered, const LoweringOptions& options,
          WeightStore* store);

  absl::StatusOr<Program> Run(const std::vector<const Candidate*>& choices);

 private:
  const Plan& plan() const { return lowered_.plan; }
  const Shape& ShapeOf(ValueId id) const { return plan().value(id).shape; }
  // The type that our own loops read and write: never BF16.
  ElementType Native(ValueId id) const { return lowered_.types[id]; }
  ByteGrid Grid(ValueId id) const;

  // The buffer that holds `id` in this form, made by a copy if need be.
  absl::StatusOr<BufferId> Read(ValueId id, Layout layout, ElementType type);
  absl::StatusOr<BufferId> Read(ValueId id, Layout layout) {
    return Read(id, layout, Native(id));
  }
  // The same for 8-bit values, with the bytes on the grid of `out`.
  absl::StatusOr<BufferId> ReadOnGridOf(ValueId out, ValueId in, Layout layout);
  // A new buffer that the node's step will write.
  BufferId Write(ValueId id, Layout layout, ElementType type);
  BufferId Write(ValueId id, Layout layout) {
    return Write(id, layout, Native(id));
  }
  void SetForm(ValueId id, const Form& form);
  int64_t Bytes(ValueId id, Layout layout, ElementType type) const;
  // Whether a step may overwrite `buffer`, reading `id` there for the last
  // time.
  bool LastRead(ValueId id, BufferId buffer) const;

  absl::Status LowerNode(const Node& node, const Candidate* choice);
  absl::Status LowerProduct(const Node& node, const Candidate& choice);
  absl::StatusOr<BufferId> AccumulateInto(const Node& node,
                                          const ProductShape& shape,
                                          Layout layout);
  absl::Status LowerQuantize(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerFrame(const Node& node, const Frame& frame, ValueId out);
  absl::Status LowerDequantize(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerBinary(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerPool(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerReshape(const Node& node);
  absl::Status LowerConcat(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerSliceOrPad(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerPermute(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerClamp(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerUnary(const Node& node, const NodeLayouts& layouts);
  absl::Status LowerIsland(const Node& node);
  absl::Status LowerOutputs();

  // The table that moves a byte of `in` onto the grid of `out`, `clamp` first;
  // null if that changes nothing.
  std::shared_ptr<const UnaryTable> Requantize(
      ValueId in, ValueId out, const std::optional<Clamp>& clamp) const;
  // A step that looks up `elements` bytes. In place if the buffers are equal.
  void AddLookUp(const std::string& name,
                 std::shared_ptr<const UnaryTable> table, int64_t elements,
                 BufferId in, BufferId out);

  const LoweredPlan& lowered_;
  const LoweringOptions options_;
  WeightStore* const store_;
  Program program_;
  std::vector<std::vector<Form>> forms_;       // of each value
  std::vector<Layout> written_;                // of each value
  std::vector<int> pending_;                   // reads still to come
  std::vector<std::vector<ValueId>> holders_;  // of each buffer
  std::vector<int> input_index_;               // of each value, or -1
};

}  // namespace quantserve::onednn
