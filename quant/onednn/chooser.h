// Picks the candidate of every product for one batch size.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/onednn/choices.h"
#include "quant/onednn/lowering.h"
#include "quant/onednn/product_check.h"
#include "quant/onednn/tuner.h"

namespace quantserve::onednn {

// The candidates of one product and the one that was chosen.
struct Selection {
  ProductShape shape;
  std::vector<Candidate> candidates;
  std::vector<double> seconds;  // empty if nothing was measured
  int chosen = -1;              // -1: oneDNN cannot compute the product
  const Candidate* candidate() const {
    return chosen < 0 ? nullptr : &candidates[chosen];
  }
};

// By index of the node; empty candidates for nodes that are no products.
// Only candidates that compute the right numbers count. Takes what `choices`
// knows; measures the rest, so that the sum of the
// products and of the layout changes between them is least, and adds it to
// `choices`. What needs a new copy of its weights beside that which a smaller
// batch size left in `store` must be a good deal faster.
absl::StatusOr<std::vector<Selection>> Choose(const LoweredPlan& lowered,
                                              const LoweringOptions& options,
                                              const WeightStore& store,
                                              ProductChecker* checker,
                                              Tuner* tuner, Choices* choices);

}  // namespace quantserve::onednn
