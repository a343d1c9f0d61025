#include "quant/onednn/chooser.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve::onednn {
namespace {

std::string ChoiceKey(const ProductShape& shape) {
  return absl::StrCat(shape.node, "|", shape.Signature());
}

// What a value costs: its producer's layout, and a copy for every other one
// that its readers want.
class CostModel {
 public:
  CostModel(const LoweredPlan& lowered, const LoweringOptions& options,
            Tuner* tuner)
      : lowered_(lowered), options_(options), tuner_(tuner) {}

  absl::StatusOr<double> Seconds(const std::vector<Selection>& selections) {
    const Plan& plan = lowered_.plan;
    double total = 0;
    std::vector<Layout> written(plan.values.size(), Layout::kRowMajor);
    std::vector<std::vector<Layout>> forms(plan.values.size());
    const auto read = [&](ValueId id, Layout layout) -> absl::Status {
      if (forms[id].empty()) forms[id].push_back(written[id]);
      for (Layout form : forms[id]) {
        if (SameBytes(plan.value(id).shape, form, layout)) {
          return absl::OkStatus();
        }
      }
      QS_ASSIGN_OR_RETURN(const double seconds,
                          tuner_->ReorderSeconds(
                              plan.value(id).shape, options_.batch,
                              lowered_.types[id], forms[id].front(), layout));
      total += seconds;
      forms[id].push_back(layout);
      return absl::OkStatus();
    };
    for (size_t i = 0; i < plan.nodes.size(); ++i) {
      const Node& node = plan.nodes[i];
      const Selection& selection = selections[i];
      if (selection.chosen >= 0) total += selection.seconds[selection.chosen];
      if (IsProduct(node) && selection.chosen < 0) continue;
      const NodeLayouts layouts =
          LayoutsOf(plan, node, written, selection.candidate());
      for (size_t j = 0; j < node.inputs.size(); ++j) {
        QS_RETURN_IF_ERROR(read(node.inputs[j], layouts.in[j]));
      }
      for (ValueId id : node.outputs) written[id] = layouts.out;
    }
    for (ValueId id : plan.outputs) {
      QS_RETURN_IF_ERROR(read(id, Layout::kRowMajor));
    }
    return total;
  }

 private:
  const LoweredPlan& lowered_;
  const LoweringOptions& options_;
  Tuner* const tuner_;
};

// The fastest candidate, of those that write `layout` if there are any.
int Fastest(const Selection& selection, const Layout* layout) {
  int best = -1;
  bool best_matches = false;
  for (size_t c = 0; c < selection.candidates.size(); ++c) {
    const bool matches =
        layout == nullptr || selection.candidates[c].out == *layout;
    if (best >= 0 && best_matches && !matches) continue;
    if (best < 0 || (matches && !best_matches) ||
        selection.seconds[c] < selection.seconds[best]) {
      best = static_cast<int>(c);
      best_matches = matches;
    }
  }
  return best;
}

// From the best of three starts (each product its own fastest, all channels
// last, all blocked), changes one product at a time while that helps.
absl::Status Search(const std::vector<size_t>& open, CostModel* model,
                    std::vector<Selection>* selections) {
  constexpr Layout kStarts[] = {Layout::kChannelsLast, Layout::kBlocked16};
  std::vector<int> best_choice;
  double best = 0;
  for (const Layout* start :
       {static_cast<const Layout*>(nullptr), &kStarts[0], &kStarts[1]}) {
    for (size_t i : open) {
      (*selections)[i].chosen = Fastest((*selections)[i], start);
    }
    QS_ASSIGN_OR_RETURN(const double seconds, model->Seconds(*selections));
    if (best_choice.empty() || seconds < best) {
      best = seconds;
      best_choice.clear();
      for (size_t i : open) best_choice.push_back((*selections)[i].chosen);
    }
  }
  for (size_t o = 0; o < open.size(); ++o) {
    (*selections)[open[o]].chosen = best_choice[o];
  }
  constexpr int kMaxRounds = 4;
  bool improved = true;
  for (int round = 0; improved && round < kMaxRounds; ++round) {
    improved = false;
    for (size_t i : open) {
      Selection& selection = (*selections)[i];
      int keep = selection.chosen;
      for (size_t c = 0; c < selection.candidates.size(); ++c) {
        if (static_cast<int>(c) == keep) continue;
        selection.chosen = static_cast<int>(c);
        QS_ASSIGN_OR_RETURN(const double seconds, model->Seconds(*selections));
        if (seconds < best) {
          best = seconds;
          keep = static_cast<int>(c);
          improved = true;
        }
      }
      selection.chosen = keep;
    }
  }
  return absl::OkStatus();
}

// Makes candidates that need a second copy of the weights look slower: a few
// percent at a large batch are not worth the memory, and nothing is where
// Winograd has more than doubled it already.
void PreferPlacedWeights(const Plan& plan, const WeightStore& store,
                         Selection* selection) {
  constexpr double kTooMuchMemory = 2.0, kWorthACopy = 1.2, kNotWorthIt = 100;
  const bool too_much =
      static_cast<double>(store.bytes()) >
      kTooMuchMemory * static_cast<double>(plan.WeightBytes());
  const double factor = too_much ? kNotWorthIt : kWorthACopy;
  std::vector<bool> placed;
  for (const Candidate& candidate : selection->candidates) {
    placed.push_back(WeightsArePlaced(selection->shape, candidate, store));
  }
  if (std::find(placed.begin(), placed.end(), true) == placed.end()) return;
  for (size_t c = 0; c < placed.size(); ++c) {
    if (!placed[c]) selection->seconds[c] *= factor;
  }
}

// The candidates that compute the right numbers; only that of one name, if a
// name is given.
absl::Status FillCandidates(const void* weights, const std::string& only,
                            ProductChecker* checker, Selection* selection) {
  for (Candidate& candidate : FindCandidates(selection->shape)) {
    if (!only.empty() && candidate.name != only) continue;
    QS_ASSIGN_OR_RETURN(const bool right,
                        checker->IsRight(selection->shape, candidate, weights));
    if (right) selection->candidates.push_back(std::move(candidate));
  }
  selection->seconds.assign(selection->candidates.size(), 0);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Selection>> Choose(const LoweredPlan& lowered,
                                              const LoweringOptions& options,
                                              const WeightStore& store,
                                              ProductChecker* checker,
                                              Tuner* tuner, Choices* choices) {
  const Plan& plan = lowered.plan;
  std::vector<Selection> selections(plan.nodes.size());
  std::vector<size_t> open;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (!IsProduct(plan.nodes[i])) continue;
    Selection& selection = selections[i];
    selection.shape = ShapeOfProduct(lowered, plan.nodes[i], options);
    std::vector<int8_t> storage;
    const void* weights =
        PlainWeights(plan.nodes[i], selection.shape, &storage);
    const std::string known = choices->Find(ChoiceKey(selection.shape));
    QS_RETURN_IF_ERROR(FillCandidates(weights, known, checker, &selection));
    if (!known.empty() && selection.candidates.empty()) {
      // The library changed under the choices.
      QS_RETURN_IF_ERROR(FillCandidates(weights, "", checker, &selection));
    } else if (!known.empty()) {
      selection.chosen = 0;
    }
    if (selection.chosen >= 0 || selection.candidates.empty()) continue;
    open.push_back(i);
    double best = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < selection.candidates.size(); ++c) {
      QS_ASSIGN_OR_RETURN(selection.seconds[c],
                          tuner->ProductSeconds(selection.shape,
                                                selection.candidates[c], best));
      best = std::min(best, selection.seconds[c]);
    }
    PreferPlacedWeights(plan, store, &selection);
  }
  if (open.empty()) return selections;
  CostModel model(lowered, options, tuner);
  QS_RETURN_IF_ERROR(Search(open, &model, &selections));
  for (size_t i : open) {
    choices->Set(ChoiceKey(selections[i].shape),
                 selections[i].candidate()->name);
  }
  return selections;
}

}  // namespace quantserve::onednn
