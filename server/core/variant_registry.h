// Which variant answers which request.
//
//   registry.Publish(std::move(variant));
//   ASSIGN(std::shared_ptr<const ServedVariant> v, registry.Find("int8"));
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/base/mutex.h"
#include "server/core/even_share.h"
#include "server/core/reaper.h"
#include "server/core/variant.h"

namespace quantserve {

// Snapshots are immutable: whoever holds one never notices a swap. The last
// holder's release hands the variant to a thread of the registry's own, so
// snapshots must not outlive the registry. Thread-safe.
class VariantRegistry {
 public:
  using Snapshot = std::shared_ptr<const ServedVariant>;

  struct Options {
    // Keeps the INT8 variant that was replaced last, so that Rollback can bring
    // it back; costs its memory.
    bool keep_previous = false;
    // What was published, held or brought back; called without a lock by
    // whoever did it. May be empty.
    std::function<void(VariantId)> on_change;
  };

  VariantRegistry() : VariantRegistry(Options()) {}
  explicit VariantRegistry(Options options);

  // Replaces the variant of the same id in one step.
  void Publish(std::unique_ptr<ServedVariant> variant);

  // Keeps an INT8 variant aside, in place of the one that was before.
  void Hold(std::unique_ptr<ServedVariant> variant);
  // Publishes what Hold kept, and returns it. FAILED_PRECONDITION if there is
  // nothing, or if it is not of `generation`, unless that is 0.
  absl::StatusOr<Snapshot> Promote(int64_t generation);
  // Changes places with the INT8 variant that was replaced last, so that a
  // second call undoes the first. FAILED_PRECONDITION if none was kept.
  absl::StatusOr<Snapshot> Rollback();
  Snapshot candidate() const;  // null: none is held
  Snapshot previous() const;   // null: none is kept

  // One more than any INT8 variant had so far.
  int64_t NextGeneration() const;

  // How many of a hundred requests without a name INT8 gets, 0 to 100. 100 at
  // first.
  void SetInt8Percent(int percent) { int8_share_.Set(percent); }
  int int8_percent() const { return int8_share_.percent(); }

  // Says why there is no `id`; Find repeats it. What is being served stays.
  void SetUnavailable(VariantId id, std::string reason);
  // The reason set last; empty if the variant is being served.
  std::string UnavailableReason(VariantId id) const;

  // The variant of that name; for an empty name the routing policy's: INT8 if
  // it is there (only what passed its gate is published) and it is its turn,
  // else FP32. Turns are evenly spread: exact in every hundred. NOT_FOUND
  // for an unknown name, FAILED_PRECONDITION with the reason for one that is
  // not being served.
  absl::StatusOr<Snapshot> Find(absl::string_view name) const;
  // As Find, but an empty name is what most requests without one get.
  absl::StatusOr<Snapshot> FindUsual(absl::string_view name) const;

  // Null if it is not being served.
  Snapshot Get(VariantId id) const;

 private:
  Snapshot Own(std::unique_ptr<ServedVariant> variant);
  // `int8`: whether an empty name is INT8's, if that is there.
  absl::StatusOr<Snapshot> Lookup(absl::string_view name, bool int8) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Returns what is to go once the lock is let go.
  Snapshot Replace(Snapshot variant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Changed(VariantId id) const;

  const Options options_;
  mutable EvenShare int8_share_{100};
  Reaper reaper_;
  mutable Mutex mu_;
  std::array<Snapshot, kVariantCount> variants_ ABSL_GUARDED_BY(mu_);
  Snapshot candidate_ ABSL_GUARDED_BY(mu_);
  Snapshot previous_ ABSL_GUARDED_BY(mu_);
  int64_t last_generation_ ABSL_GUARDED_BY(mu_) = 0;
  std::array<std::string, kVariantCount> reasons_ ABSL_GUARDED_BY(mu_);
};

}  // namespace quantserve
