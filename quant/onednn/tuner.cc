#include "quant/onednn/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/program.h"

namespace quantserve::onednn {
namespace {

// Larger than a core's second-level cache, smaller than the third level.
constexpr size_t kEvictBytes = size_t{4} << 20;
constexpr int kMinRuns = 3, kMaxRuns = 9;
constexpr double kEnoughSeconds = 0.02;  // then kMinRuns suffice

double Now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Touches every cache line.
void Read(const std::byte* data, size_t bytes) {
  const volatile std::byte* p = data;
  for (size_t i = 0; i < bytes; i += 64) static_cast<void>(p[i]);
}

absl::Status Grow(size_t bytes, HugeRegion* region) {
  if (region->size() >= bytes) return absl::OkStatus();
  QS_ASSIGN_OR_RETURN(*region, HugeRegion::Allocate(bytes));
  // Untouched pages would all be the one zero page, always in the cache.
  std::memset(region->data(), 0, bytes);
  return absl::OkStatus();
}

}  // namespace

void Tuner::EvictCaches() { Read(evictor_.data(), evictor_.size()); }

absl::StatusOr<double> Tuner::Measure(const Program& program, BufferId source,
                                      size_t source_bytes, double give_up) {
  QS_RETURN_IF_ERROR(Grow(kEvictBytes, &evictor_));
  QS_RETURN_IF_ERROR(Grow(program.arena_bytes(), &arena_));
  ++measurements_;
  const BoundProgram bound(program, arena_.data());
  const dnnl::stream stream(CpuEngine());
  const std::byte* src = arena_.data() + program.offsets()[source];
  constexpr double kNever = std::numeric_limits<double>::infinity();
  double best = kNever, least = kNever, total = 0;
  for (int run = 0; run <= kMaxRuns; ++run) {
    EvictCaches();
    Read(src, source_bytes);
    const double start = Now();
    QS_RETURN_IF_ERROR(bound.Run(1, {}, {}, stream));
    const double seconds = Now() - start;
    total += seconds;
    least = std::min(least, seconds);
    if (run > 0) best = std::min(best, seconds);  // the first one warms up
    if (run > 0 && least > 2 * give_up) break;
    if (run >= kMinRuns && total > kEnoughSeconds) break;
  }
  return best;
}

absl::StatusOr<double> Tuner::ProductSeconds(const ProductShape& shape,
                                             const Candidate& candidate,
                                             double give_up) {
  const std::string key = absl::StrCat(shape.Signature(), "|", candidate.name);
  const auto known = seconds_.find(key);
  if (known != seconds_.end()) return known->second;
  QS_RETURN_IF_ERROR(Grow(DescBytes(candidate.product.weights), &weights_));
  Program program;
  WeightStore constants;
  const size_t in_bytes =
      StoredElements(shape.InShape(), shape.batch, candidate.in) *
      ElementBytes(shape.in_type);
  const BufferId in = program.NewBuffer(in_bytes);
  const BufferId out = program.NewBuffer(
      StoredElements(shape.OutShape(), shape.batch, candidate.out) *
      ElementBytes(shape.out_type));
  QS_RETURN_IF_ERROR(EmitProduct(shape, candidate, weights_.data(), in, out,
                                 threads_, &constants, &program));
  program.Finish();
  QS_ASSIGN_OR_RETURN(const double seconds,
                      Measure(program, in, in_bytes, give_up));
  return seconds_[key] = seconds;
}

absl::StatusOr<double> Tuner::ReorderSeconds(const Shape& shape, int64_t batch,
                                             ElementType type, Layout from,
                                             Layout to) {
  if (SameBytes(shape, from, to)) return 0.0;
  const std::string key =
      absl::StrCat(ShapeString(shape), " b", batch, " ", ElementBytes(type),
                   LayoutName(from), LayoutName(to));
  const auto known = seconds_.find(key);
  if (known != seconds_.end()) return known->second;
  QS_ASSIGN_OR_RETURN(const Reorder reorder,
                      MakeReorder(DescOf(shape, batch, from, type),
                                  DescOf(shape, batch, to, type)));
  Program program;
  const BufferId in = program.NewBuffer(DescBytes(reorder.from));
  const BufferId out = program.NewBuffer(DescBytes(reorder.to));
  EmitReorder("reorder", reorder, in, out, &program);
  program.Finish();
  QS_ASSIGN_OR_RETURN(const double seconds,
                      Measure(program, in, DescBytes(reorder.from),
                              std::numeric_limits<double>::infinity()));
  return seconds_[key] = seconds;
}

}  // namespace quantserve::onednn
