#include "server/core/variant_registry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/model_metrics.h"

namespace quantserve {
namespace {

constexpr auto kInt8 = static_cast<size_t>(VariantId::kInt8);

}  // namespace

VariantRegistry::VariantRegistry(Options options)
    : options_(std::move(options)) {
  MutexLock lock(&mu_);
  reasons_.fill("the server is starting");
}

VariantRegistry::Snapshot VariantRegistry::Own(
    std::unique_ptr<ServedVariant> variant) {
  if (variant->metrics != nullptr) variant->metrics->AddGeneration(variant->id);
  return Snapshot(variant.release(), [this](const ServedVariant* retired) {
    reaper_.Post([retired] {
      ModelMetrics* const metrics = retired->metrics;
      const VariantId id = retired->id;
      delete retired;
      if (metrics != nullptr) metrics->RemoveGeneration(id);
    });
  });
}

VariantRegistry::Snapshot VariantRegistry::Replace(Snapshot variant) {
  const auto index = static_cast<size_t>(variant->id);
  if (index == kInt8) {
    last_generation_ = std::max(last_generation_, variant->generation);
  }
  variants_[index].swap(variant);
  reasons_[index].clear();
  if (index == kInt8 && options_.keep_previous && variant != nullptr) {
    previous_.swap(variant);
  }
  return variant;
}

void VariantRegistry::Changed(VariantId id) const {
  if (options_.on_change) options_.on_change(id);
}

void VariantRegistry::Publish(std::unique_ptr<ServedVariant> variant) {
  const VariantId id = variant->id;
  Snapshot old = Own(std::move(variant));
  {
    MutexLock lock(&mu_);
    old = Replace(std::move(old));
  }
  old.reset();
  Changed(id);
}

void VariantRegistry::Hold(std::unique_ptr<ServedVariant> variant) {
  Snapshot old = Own(std::move(variant));
  {
    MutexLock lock(&mu_);
    last_generation_ = std::max(last_generation_, old->generation);
    candidate_.swap(old);
  }
  old.reset();
  Changed(VariantId::kInt8);
}

absl::StatusOr<VariantRegistry::Snapshot> VariantRegistry::Promote(
    int64_t generation) {
  Snapshot promoted;
  Snapshot old;
  {
    MutexLock lock(&mu_);
    if (candidate_ == nullptr) {
      return absl::FailedPreconditionError(
          "there is no candidate to promote: Quantize with hold makes one");
    }
    if (generation != 0 && candidate_->generation != generation) {
      return absl::FailedPreconditionError(
          absl::StrCat("the candidate is of generation ",
                       candidate_->generation, ", not ", generation));
    }
    promoted = std::move(candidate_);
    candidate_.reset();
    old = Replace(promoted);
  }
  old.reset();
  Changed(VariantId::kInt8);
  return promoted;
}

absl::StatusOr<VariantRegistry::Snapshot> VariantRegistry::Rollback() {
  Snapshot restored;
  {
    MutexLock lock(&mu_);
    if (previous_ == nullptr) {
      return absl::FailedPreconditionError(
          options_.keep_previous
              ? "there is no earlier int8 generation to go back to"
              : "no earlier int8 generation is kept: the server's flag "
                "--keep_previous keeps one");
    }
    variants_[kInt8].swap(previous_);
    restored = variants_[kInt8];
  }
  Changed(VariantId::kInt8);
  return restored;
}

VariantRegistry::Snapshot VariantRegistry::candidate() const {
  MutexLock lock(&mu_);
  return candidate_;
}

VariantRegistry::Snapshot VariantRegistry::previous() const {
  MutexLock lock(&mu_);
  return previous_;
}

int64_t VariantRegistry::NextGeneration() const {
  MutexLock lock(&mu_);
  return last_generation_ + 1;
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

absl::StatusOr<VariantRegistry::Snapshot> VariantRegistry::Lookup(
    absl::string_view name, bool int8) const {
  std::optional<VariantId> id;
  if (name.empty()) {
    id = int8 && variants_[kInt8] != nullptr ? VariantId::kInt8
                                             : VariantId::kFp32;
  } else {
    id = ParseVariant(name);
  }
  if (!id.has_value()) {
    return absl::NotFoundError(absl::StrCat("no variant is named \"", name,
                                            "\", there are: fp32, int8, bf16"));
  }
  const auto index = static_cast<size_t>(*id);
  if (variants_[index] == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "variant ", VariantName(*id), " is not ready: ", reasons_[index]));
  }
  return variants_[index];
}

absl::StatusOr<VariantRegistry::Snapshot> VariantRegistry::Find(
    absl::string_view name) const {
  const bool int8 = name.empty() && int8_share_.Next();
  MutexLock lock(&mu_);
  return Lookup(name, int8);
}

absl::StatusOr<VariantRegistry::Snapshot> VariantRegistry::FindUsual(
    absl::string_view name) const {
  MutexLock lock(&mu_);
  return Lookup(name, int8_percent() >= 50);
}

VariantRegistry::Snapshot VariantRegistry::Get(VariantId id) const {
  MutexLock lock(&mu_);
  return variants_[static_cast<size_t>(id)];
}

}  // namespace quantserve
