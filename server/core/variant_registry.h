// Which variant answers which request.
//
//   registry.Publish(std::move(variant));
//   ASSIGN(std::shared_ptr<const ServedVariant> v, registry.Find("int8"));
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/base/mutex.h"
#include "server/core/reaper.h"
#include "server/core/variant.h"

namespace quantserve {

// Snapshots are immutable: whoever holds one never notices a swap. The last
// holder's release hands the variant to a thread of the registry's own, so
// snapshots must not outlive the registry. Thread-safe.
class VariantRegistry {
 public:
  using Snapshot = std::shared_ptr<const ServedVariant>;

  VariantRegistry();

  // Replaces the variant of the same id in one step.
  void Publish(std::unique_ptr<ServedVariant> variant);

  // Says why there is no `id`; Find repeats it. What is being served stays.
  void SetUnavailable(VariantId id, std::string reason);
  // The reason set last; empty if the variant is being served.
  std::string UnavailableReason(VariantId id) const;

  // The variant of that name; for an empty name the routing policy's: INT8 if
  // it is there (only what passed its gate is published), else FP32. NOT_FOUND
  // for an unknown name, FAILED_PRECONDITION with the reason for one that is
  // not being served.
  absl::StatusOr<Snapshot> Find(absl::string_view name) const;

  // Null if it is not being served.
  Snapshot Get(VariantId id) const;

 private:
  Reaper reaper_;
  mutable Mutex mu_;
  std::array<Snapshot, kVariantCount> variants_ ABSL_GUARDED_BY(mu_);
  std::array<std::string, kVariantCount> reasons_ ABSL_GUARDED_BY(mu_);
};

}  // namespace quantserve
