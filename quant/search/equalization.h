// Finds how to equalize a plan.
#pragma once

#include <vector>

#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"

namespace quantserve {

// Whether equalization is worth the calibration that it costs: a layer's
// largest channel is more than 8 times its median one, in a layer before or
// behind such a pair, or a pair has a depthwise convolution.
bool EqualizationMayHelp(const Plan& plan);

// Factors for all pairs, iterated until they settle: after it, output channel i
// of the first layer and input channel i of the second have the same range,
// s_i = sqrt(r1_i r2_i) / r2_i (Nagel et al. 2019, equation 11). Empty if there
// are no pairs. The factors of a channel stay within 1/1000 and 1000.
std::vector<Equalization> FindEqualizations(const Plan& plan);

}  // namespace quantserve
