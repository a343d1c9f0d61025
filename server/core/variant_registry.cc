#include "server/core/variant_registry.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quantserve {

VariantRegistry::VariantRegistry() {
  MutexLock lock(&mu_);
  reasons_.fill("the server is starting");
}

void VariantRegistry::Publish(std::unique_ptr<ServedVariant> variant) {
  const auto index = static_cast<size_t>(variant->id);
  Snapshot snapshot(variant.release(), [this](const ServedVariant* retired) {
    reaper_.Post([retired] { delete retired; });
  });
  MutexLock lock(&mu_);
  // The old one leaves in `snapshot`, after the lock is let go.
  variants_[index].swap(snapshot);
  reasons_[index].clear();
}

void VariantRegistry::SetUnavailable(VariantId id, std::string reason) {
  MutexLock lock(&mu_);
  reasons_[static_cast<size_t>(id)] = std::move(reason);
}

std::string VariantRegistry::UnavailableReason(VariantId id) const {
  MutexLock lock(&mu_);
  const auto index = static_cast<size_t>(id);
  return variants_[index] == nullptr ? reasons_[index] : "";
}

absl::StatusOr<VariantRegistry::Snapshot> VariantRegistry::Find(
    absl::string_view name) const {
  std::optional<VariantId> id;
  if (!name.empty()) {
    id = ParseVariant(name);
    if (!id.has_value()) {
      return absl::NotFoundError(absl::StrCat(
          "no variant is named \"", name, "\", there are: fp32, int8, bf16"));
    }
  }
  MutexLock lock(&mu_);
  if (!id.has_value()) {
    const bool int8 =
        variants_[static_cast<size_t>(VariantId::kInt8)] != nullptr;
    id = int8 ? VariantId::kInt8 : VariantId::kFp32;
  }
  const auto index = static_cast<size_t>(*id);
  if (variants_[index] == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "variant ", VariantName(*id), " is not ready: ", reasons_[index]));
  }
  return variants_[index];
}

VariantRegistry::Snapshot VariantRegistry::Get(VariantId id) const {
  MutexLock lock(&mu_);
  return variants_[static_cast<size_t>(id)];
}

}  // namespace quantserve
