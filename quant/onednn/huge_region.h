// A block of zeroed memory on huge pages where the system grants them: large
// models read their weights once per request, and 4 KB pages make that a walk
// through the TLB. Movable, thread-compatible.
#pragma once

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"

namespace quantserve::onednn {

class HugeRegion {
 public:
  HugeRegion() = default;
  HugeRegion(HugeRegion&& other) noexcept { *this = std::move(other); }
  HugeRegion& operator=(HugeRegion&& other) noexcept;
  ~HugeRegion();

  // At least `bytes`, aligned to 2 MiB. RESOURCE_EXHAUSTED if the system
  // refuses. Zero bytes give an empty region.
  static absl::StatusOr<HugeRegion> Allocate(size_t bytes);

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  void* mapping_ = nullptr;  // with the slack that the alignment needs
  size_t mapping_size_ = 0;
};

}  // namespace quantserve::onednn
