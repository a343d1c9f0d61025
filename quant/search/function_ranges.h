// Ranges of values that only tables read.
#pragma once

#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"
#include "quant/torch/calibrate.h"

namespace quantserve {

// Where nothing but elementwise functions reads a value, what counts is the
// error of their results: SiLU is nearly zero below -6, so a range that reaches
// further down wastes steps that the rest could use. For every such value, of a
// lattice of intervals inside the observed one, the one whose grid gives the
// least sum of (f(x) - f(q(x)))^2 over the histogram of x. Returns how many
// ranges changed; values without a histogram keep theirs. Thread-safe.
int FitRangesToFunctions(const Plan& plan, const Calibration& calibration,
                         RangeMap* ranges);

}  // namespace quantserve
