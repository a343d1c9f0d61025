// Bias correction in closed form (Nagel et al. 2019, section 4.2): rounding a
// layer's weights moves the mean of its output by sum_i (Wq - W)_ci * E[x_i],
// which the bias can take back.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "quant/plan/plan.h"

namespace quantserve {

// The mean of each channel of a value that layers read (of dimension 1 for
// convolutions, of the last for linear layers), by value name.
using ChannelMeans = std::map<std::string, std::vector<float>>;

// What to add to each output channel's bias of `weights` once they are rounded
// to `quantized`, for inputs whose channels have the means `channel_mean`:
// -sum_i (Wq - W)_ci * E[x_i]. With groups, channel i of group g is
// channel_mean[g * channels_per_group + i]. Empty if the sizes do not fit.
std::vector<float> AnalyticBiasShift(const Weights& weights, int64_t groups,
                                     const std::vector<float>& channel_mean,
                                     const Weights& quantized);

// The same for every kConv2d and kLinear of a float plan whose input's means
// are known, by node name: Recipe::bias_shifts.
std::map<std::string, std::vector<float>> AnalyticBiasShifts(
    const Plan& plan, const ChannelMeans& means, int weight_bits);

}  // namespace quantserve
