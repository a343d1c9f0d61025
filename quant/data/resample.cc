#include "quant/data/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace quantserve {
namespace {

// PIL's fixed point: 8 bits of pixel, 2 bits for the cubic's overshoot.
constexpr int kPrecision = 32 - 8 - 2;

double Filter(Interpolation interpolation, double x) {
  x = std::abs(x);
  if (interpolation == Interpolation::kBilinear) return x < 1 ? 1 - x : 0;
  constexpr double kA = -0.5;
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0;
}

// 2.5 becomes 3 and -0.5 becomes 0.
int HalfUp(double x) { return static_cast<int>(std::floor(x + 0.5)); }

// The input pixels that make one output pixel, and their shares.
struct Window {
  int first = 0;
  std::vector<int32_t> weights;  // times 2^kPrecision
};

std::vector<Window> Windows(int in, int out, Interpolation interpolation) {
  const double scale = static_cast<double>(in) / out;
  const double widening = std::max(scale, 1.0);
  const double support =
      (interpolation == Interpolation::kBilinear ? 1.0 : 2.0) * widening;
  std::vector<Window> windows(out);
  std::vector<double> weights;
  for (int i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, HalfUp(centre - support));
    const int last = std::min(in, HalfUp(centre + support));
    weights.clear();
    double total = 0;
    for (int x = first; x < last; ++x) {
      weights.push_back(
          Filter(interpolation, (x - centre + 0.5) * (1.0 / widening)));
      total += weights.back();
    }
    windows[i].first = first;
    for (double weight : weights) {
      if (total != 0) weight /= total;
      const double fixed = weight * (1 << kPrecision);
      windows[i].weights.push_back(
          static_cast<int32_t>(fixed + (weight < 0 ? -0.5 : 0.5)));
    }
  }
  return windows;
}

// The weighted mean of pixels `stride` bytes apart, for each of R, G and B.
void Apply(const Window& window, const uint8_t* from, size_t stride,
           uint8_t* to) {
  constexpr int32_t kHalf = 1 << (kPrecision - 1);
  int32_t sum[3] = {kHalf, kHalf, kHalf};
  from += window.first * stride;
  for (const int32_t weight : window.weights) {
    for (int c = 0; c < 3; ++c) sum[c] += from[c] * weight;
    from += stride;
  }
  for (int c = 0; c < 3; ++c) {
    to[c] = static_cast<uint8_t>(std::clamp(sum[c] >> kPrecision, 0, 255));
  }
}

Image ResampleRows(const Image& image, int width, Interpolation filter) {
  const std::vector<Window> windows = Windows(image.width, width, filter);
  Image out = Image::Make(width, image.height);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < width; ++x) {
      Apply(windows[x], image.row(y), 3, out.row(y) + size_t{3} * x);
    }
  }
  return out;
}

Image ResampleColumns(const Image& image, int height, Interpolation filter) {
  const std::vector<Window> windows = Windows(image.height, height, filter);
  Image out = Image::Make(image.width, height);
  const size_t stride = size_t{3} * image.width;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      Apply(windows[y], image.row(0) + size_t{3} * x, stride,
            out.row(y) + size_t{3} * x);
    }
  }
  return out;
}

}  // namespace

Image Resample(const Image& image, int width, int height,
               Interpolation interpolation) {
  // A pass that changes nothing is left out.
  if (width == image.width && height == image.height) return image;
  if (height == image.height) return ResampleRows(image, width, interpolation);
  if (width == image.width) {
    return ResampleColumns(image, height, interpolation);
  }
  return ResampleColumns(ResampleRows(image, width, interpolation), height,
                         interpolation);
}

}  // namespace quantserve
