#include "quant/search/layer_facts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/plan/passes/equalize.h"
#include "quant/torch/observe.h"

namespace quantserve {
namespace {

constexpr int64_t kSamples = 32;

// Sums up signal and noise of one value.
struct Noise {
  double signal = 0, noise = 0;

  void Add(const std::vector<float>& want, absl::Span<const float> got) {
    for (size_t i = 0; i < got.size(); ++i) {
      const double difference = double{want[i]} - got[i];
      signal += double{want[i]} * want[i];
      noise += difference * difference;
    }
  }
  double Db() const {
    if (noise == 0) return std::numeric_limits<double>::infinity();
    return 10 * std::log10(std::max(signal, 1e-300) / noise);
  }
};

ActivationReport Activation(const QuantParams& grid,
                            const RangeEstimator* estimator) {
  ActivationReport activation;
  activation.scale = grid.scale;
  activation.zero_point = grid.zero_point;
  activation.range = {
      grid.scale * static_cast<float>(QuantParams::kMin - grid.zero_point),
      grid.scale * static_cast<float>(QuantParams::kMax - grid.zero_point)};
  if (estimator != nullptr) {
    activation.clipped_share = estimator->ClippedShare(activation.range);
    activation.histogram = HistogramOf(*estimator);
  }
  return activation;
}

std::map<std::string, const Node*> ByName(const Plan& plan) {
  std::map<std::string, const Node*> nodes;
  for (const Node& node : plan.nodes) nodes[node.name] = &node;
  return nodes;
}

// Compares the float plan's values with those of another plan, batch by batch.
class Comparer {
 public:
  Comparer(const Plan& float_plan, const Shard& shard,
           const Preprocessing& preprocessing, const Split& split)
      : plan_(float_plan),
        shard_(shard),
        preprocessing_(preprocessing),
        first_(split.held_first),
        count_(std::min(kSamples, split.held_count)) {}

  // `others[i]` of `other` is compared with output 0 of node i; -1: not.
  // The result is by node.
  absl::StatusOr<std::vector<Noise>> Run(const Plan& other,
                                         const std::vector<ValueId>& others,
                                         const JobControl& control) const {
    // Both sides' values of a batch are in memory.
    ObserveOptions floats, quantized;
    floats.max_activation_bytes = quantized.max_activation_bytes = int64_t{64}
                                                                   << 20;
    std::map<ValueId, std::vector<size_t>> nodes;
    for (size_t i = 0; i < others.size(); ++i) {
      if (others[i] < 0) continue;
      floats.values.push_back(plan_.nodes[i].outputs[0]);
      quantized.values.push_back(others[i]);
      nodes[others[i]].push_back(i);
    }
    std::vector<Noise> noise(others.size());
    if (nodes.empty()) return noise;
    floats.batch = quantized.batch = std::min<int64_t>(8, count_);
    QS_ASSIGN_OR_RETURN(const auto right, Observer::Make(other, quantized));
    floats.batch = right->batch();
    QS_ASSIGN_OR_RETURN(const auto left, Observer::Make(plan_, floats));
    const int64_t batch = std::min(left->batch(), right->batch());
    for (int64_t done = 0; done < count_;) {
      QS_RETURN_IF_ERROR(control.Report("layers", done, count_));
      const int64_t n = std::min(batch, count_ - done);
      std::map<ValueId, std::vector<float>> want;
      QS_RETURN_IF_ERROR(
          left->Run(shard_, preprocessing_, first_ + done, n,
                    [&](ValueId id, absl::Span<const float> values) {
                      want[id].assign(values.begin(), values.end());
                      return absl::OkStatus();
                    }));
      QS_RETURN_IF_ERROR(right->Run(
          shard_, preprocessing_, first_ + done, n,
          [&](ValueId id, absl::Span<const float> values) {
            for (size_t i : nodes.at(id)) {
              noise[i].Add(want.at(plan_.nodes[i].outputs[0]), values);
            }
            return absl::OkStatus();
          }));
      done += n;
    }
    QS_RETURN_IF_ERROR(control.Report("layers", count_, count_));
    return noise;
  }

 private:
  const Plan& plan_;
  const Shard& shard_;
  const Preprocessing& preprocessing_;
  const int64_t first_, count_;
};

}  // namespace

void FillLayers(const Plan& float_plan,
                const std::vector<NodeOutcome>& outcomes,
                QuantizationReport* report) {
  int64_t quantized = 0;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const Node& node = float_plan.nodes[i];
    LayerReport& layer = report->layers.emplace_back();
    layer.name = outcomes[i].name;
    layer.op = outcomes[i].op;
    layer.quantized = outcomes[i].quantized;
    layer.reason = outcomes[i].reason;
    layer.output_shape = float_plan.value(node.outputs[0]).shape;
    layer.macs = float_plan.Macs(node);
    if (layer.quantized) quantized += layer.macs;
  }
  const int64_t total = float_plan.Macs();
  report->int8_macs_share =
      total > 0 ? static_cast<double>(quantized) / static_cast<double>(total)
                : 0;
}

LocalPlan QuantizeEachAlone(const Plan& float_plan, const Plan& quantized) {
  LocalPlan local{float_plan, {}};
  Plan& plan = local.plan;
  const auto in_int8 = ByName(quantized);
  std::map<ValueId, ValueId> on_grid;  // from the quantized plan's values
  std::vector<Node> nodes;
  for (const Node& original : float_plan.nodes) {
    nodes.push_back(original);
    local.outputs.push_back(-1);
    const Node& other = *in_int8.at(original.name);
    const auto& grid = quantized.value(other.outputs[0]).quant;
    if (!grid || other.outputs.size() != 1) continue;
    Node alone = other;
    alone.name = absl::StrCat(original.name, ".alone");
    for (size_t i = 0; i < alone.inputs.size(); ++i) {
      const ValueId from = other.inputs[i];
      const auto& input_grid = quantized.value(from).quant;
      if (on_grid.count(from) == 0) {
        Node quantize;
        quantize.kind = OpKind::kQuantize;
        quantize.name = absl::StrCat(quantized.value(from).name, ".on_grid");
        quantize.inputs = {original.inputs[i]};
        quantize.outputs = {plan.AddValue(
            quantize.name, plan.value(original.inputs[i]).shape, input_grid)};
        on_grid[from] = quantize.outputs[0];
        nodes.push_back(std::move(quantize));
      }
      alone.inputs[i] = on_grid[from];
    }
    alone.outputs = {
        plan.AddValue(alone.name, plan.value(original.outputs[0]).shape, grid)};
    local.outputs.back() = alone.outputs[0];
    nodes.push_back(std::move(alone));
  }
  plan.nodes = std::move(nodes);
  return local;
}

absl::Status FillActivations(const Plan& float_plan, const FoundRecipe& found,
                             const Plan& quantized, const Shard& shard,
                             const Preprocessing& preprocessing,
                             const JobControl& control,
                             QuantizationReport* report) {
  QS_ASSIGN_OR_RETURN(const Plan plan,
                      Equalize(float_plan, found.recipe.equalizations));
  const auto in_int8 = ByName(quantized);
  std::vector<ValueId> outputs;
  for (const Node& node : plan.nodes) {
    outputs.push_back(in_int8.at(node.name)->outputs[0]);
  }
  const Comparer comparer(plan, shard, preprocessing, found.split);
  QS_ASSIGN_OR_RETURN(const std::vector<Noise> cumulative,
                      comparer.Run(quantized, outputs, control));
  const LocalPlan alone = QuantizeEachAlone(plan, quantized);
  QS_ASSIGN_OR_RETURN(const std::vector<Noise> local,
                      comparer.Run(alone.plan, alone.outputs, control));
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    LayerReport& layer = report->layers[i];
    layer.cumulative_sqnr_db = cumulative[i].Db();
    if (alone.outputs[i] >= 0) layer.local_sqnr_db = local[i].Db();
    const auto& grid = quantized.value(outputs[i]).quant;
    if (!grid) continue;
    layer.activation = Activation(
        *grid,
        found.calibration->Find(plan.value(plan.nodes[i].outputs[0]).name));
  }
  return absl::OkStatus();
}

}  // namespace quantserve
