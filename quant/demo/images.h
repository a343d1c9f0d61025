// A labelled image set made from nothing: ten classes of textured shapes.
//
// An image shows one of five shapes, filled with stripes or with dots, turned,
// shifted and scaled by chance, in colours that say nothing about the class, on
// a shaded background, partly covered, under noise. Some can't be told: a good
// classifier is right in about nine cases of ten.
#pragma once

#include <array>
#include <cstdint>

#include "absl/types/span.h"

namespace quantserve {

inline constexpr int kDemoClasses = 10;
inline constexpr int kDemoSide = 32;
inline constexpr int kDemoImageBytes = 3 * kDemoSide * kDemoSide;

extern const std::array<const char*, kDemoClasses> kDemoClassNames;

// Independent sequences of images of one seed.
enum class DemoSplit : uint64_t { kTrain = 1, kCalibration = 2, kTest = 3 };

// Draws image `index` of a split: planes R, G, B, as CIFAR-10 has them, to
// `pixels` of kDemoImageBytes. Returns its class. The classes take turns.
// Depends on nothing but its arguments; thread-safe.
int DrawDemoImage(uint64_t seed, DemoSplit split, int64_t index,
                  absl::Span<uint8_t> pixels);

}  // namespace quantserve
