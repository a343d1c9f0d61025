#include "quant/onednn/huge_region.h"

#include <sys/mman.h>

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace quantserve::onednn {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;
}  // namespace

HugeRegion& HugeRegion::operator=(HugeRegion&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_size_, other.mapping_size_);
  return *this;
}

HugeRegion::~HugeRegion() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
}

absl::StatusOr<HugeRegion> HugeRegion::Allocate(size_t bytes) {
  HugeRegion region;
  if (bytes == 0) return region;
  region.mapping_size_ = bytes + kHugePage;
  void* p = mmap(nullptr, region.mapping_size_, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", bytes, " bytes"));
  }
  region.mapping_ = p;
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  const uintptr_t aligned = (address + kHugePage - 1) & ~(kHugePage - 1);
  region.data_ = static_cast<std::byte*>(p) + (aligned - address);
  region.size_ = bytes;
  // Advice only: without it the same memory comes in small pages.
  madvise(region.data_, bytes, MADV_HUGEPAGE);
  return region;
}

}  // namespace quantserve::onednn
