#include "quant/plan/grids.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace quantserve {
namespace {

// The mean of many values spreads much less than the values do: on their grid
// it would have a few steps only.
bool PoolsMany(const Node& node) {
  constexpr int64_t kMany = 16;
  const auto& attrs = std::get<PoolAttrs>(node.attrs);
  return attrs.kernel[0] * attrs.kernel[1] >= kMany;
}

// Nodes whose output is made of their input's values.
bool KeepsGrid(const Node& node) {
  switch (node.kind) {
    case OpKind::kAvgPool:
      return !PoolsMany(node);
    case OpKind::kMaxPool:
    case OpKind::kReshape:
    case OpKind::kConcat:
    case OpKind::kSlice:
    case OpKind::kPermute:
    case OpKind::kPad:
    case OpKind::kClamp:
      return true;
    default:
      return false;
  }
}

// Union-find over values that share a grid.
class Groups {
 public:
  explicit Groups(size_t size) : parent_(size) {
    std::iota(parent_.begin(), parent_.end(), 0);
  }
  ValueId Root(ValueId id) {
    while (parent_[id] != id) id = parent_[id] = parent_[parent_[id]];
    return id;
  }
  void Join(ValueId a, ValueId b) { parent_[Root(a)] = Root(b); }

 private:
  std::vector<ValueId> parent_;
};

struct Group {
  ValueRange hull;
  // A convolution or linear layer reads it. Sums and tables run as fast with
  // any zero point.
  bool multiplied = false;
};

void Extend(const Range& range, Range* hull) {
  hull->lo = std::min(hull->lo, range.lo);
  hull->hi = std::max(hull->hi, range.hi);
}

bool Symmetric(const Group& group, double share) {
  const double lo = -group.hull.affine.lo;
  const double hi = group.hull.affine.hi;
  if (!(lo > 0)) return false;
  if (!group.multiplied) return false;
  return std::min(lo, hi) >= share * std::max(lo, hi);
}

}  // namespace

absl::StatusOr<Grids> ChooseGrids(const Plan& plan,
                                  const std::vector<bool>& quantized,
                                  const RangeMap& ranges,
                                  const QuantizePlanOptions& options) {
  Groups groups(plan.values.size());
  std::vector<bool> used(plan.values.size(), false);   // needs a grid
  std::vector<bool> moved(plan.values.size(), false);  // written by KeepsGrid
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (!quantized[i]) continue;
    const Node& node = plan.nodes[i];
    for (ValueId id : node.inputs) used[id] = true;
    for (ValueId id : node.outputs) used[id] = true;
    if (!KeepsGrid(node)) continue;
    moved[node.outputs[0]] = true;
    for (ValueId id : node.inputs) groups.Join(id, node.outputs[0]);
  }

  std::map<ValueId, Group> by_root;
  for (ValueId id = 0; id < static_cast<ValueId>(plan.values.size()); ++id) {
    if (!used[id]) continue;
    Group& group = by_root[groups.Root(id)];
    if (moved[id]) continue;  // its values come from the group's other members
    const auto range = ranges.find(plan.value(id).name);
    if (range == ranges.end()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "no calibrated range for value \"", plan.value(id).name, "\""));
    }
    Extend(range->second.affine, &group.hull.affine);
    Extend(range->second.symmetric, &group.hull.symmetric);
  }
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = plan.nodes[i];
    if (node.kind != OpKind::kConv2d && node.kind != OpKind::kLinear) continue;
    const auto group = by_root.find(groups.Root(node.inputs[0]));
    if (group != by_root.end()) group->second.multiplied = true;
  }

  Grids grids;
  for (ValueId id = 0; id < static_cast<ValueId>(plan.values.size()); ++id) {
    if (!used[id]) continue;
    const Group& group = by_root.at(groups.Root(id));
    const bool symmetric = Symmetric(group, options.symmetric_share);
    grids[id] = ChooseQuantParams(
        symmetric ? group.hull.symmetric : group.hull.affine, symmetric);
  }
  return grids;
}

}  // namespace quantserve
