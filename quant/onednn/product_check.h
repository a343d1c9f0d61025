// Does a candidate compute what it should? A product is only given to a kernel
// that was seen to be right: oneDNN's 8-bit kernels for processors without VNNI
// saturate silently, and no library is without mistakes for odd shapes.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "quant/onednn/product.h"

namespace quantserve::onednn {

// Not thread-safe. The calling thread must have its OpenMP threads set.
class ProductChecker {
 public:
  explicit ProductChecker(int threads) : threads_(threads) {}

  // Runs the candidate on random numbers over the whole range of the input's
  // type, and compares some hundred outputs, the corners of the image among
  // them, with sums computed here: 8-bit outputs to within one, others to
  // within the rounding of their type. `weights` as for PlaceWeights. Equal
  // signatures are checked once.
  absl::StatusOr<bool> IsRight(const ProductShape& shape,
                               const Candidate& candidate, const void* weights);

 private:
  const int threads_;
  std::map<std::string, bool> known_;
};

}  // namespace quantserve::onednn
