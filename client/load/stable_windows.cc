#include "client/load/stable_windows.h"

#include <algorithm>
#include <cmath>

namespace quantserve {
namespace {

template <typename Figure>
bool Agree(const WindowFigures* first, double tolerance, Figure figure) {
  double mean = 0;
  for (int i = 0; i < StableWindows::kAgreeing; ++i) {
    mean += figure(first[i]) / StableWindows::kAgreeing;
  }
  return mean > 0 && std::all_of(first, first + StableWindows::kAgreeing,
                                 [&](const WindowFigures& window) {
                                   return std::abs(figure(window) - mean) <=
                                          tolerance * mean;
                                 });
}

}  // namespace

bool StableWindows::stable() const {
  if (windows_.size() < kAgreeing) return false;
  const WindowFigures* first = windows_.data() + windows_.size() - kAgreeing;
  return Agree(first, tolerance_,
               [](const WindowFigures& w) { return w.rate; }) &&
         Agree(first, tolerance_, [](const WindowFigures& w) {
           return absl::ToDoubleSeconds(w.latency);
         });
}

}  // namespace quantserve
