#include "quant/onednn/weight_store.h"

#include <algorithm>
#include <cstring>

#include "quant/base/status_macros.h"

namespace quantserve::onednn {
namespace {
constexpr size_t kAlignment = 64;
constexpr size_t kRegionBytes = size_t{8} << 20;
}  // namespace

absl::StatusOr<std::byte*> WeightStore::Reserve(size_t bytes) {
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (regions_.empty() || regions_.back().size() - used_ < bytes) {
    QS_ASSIGN_OR_RETURN(HugeRegion region,
                        HugeRegion::Allocate(std::max(bytes, kRegionBytes)));
    regions_.push_back(std::move(region));
    used_ = 0;
  }
  std::byte* p = regions_.back().data() + used_;
  used_ += bytes;
  bytes_ += bytes;
  return p;
}

bool WeightStore::Has(const std::string& key, const MemoryDesc& to) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.key == key && e.desc == to;
  });
}

absl::StatusOr<const void*> WeightStore::Put(const std::string& key,
                                             const MemoryDesc& from,
                                             const void* data,
                                             const MemoryDesc& to) {
  for (const Entry& entry : entries_) {
    if (entry.key == key && entry.desc == to) return entry.data;
  }
  QS_ASSIGN_OR_RETURN(std::byte * p, Reserve(DescBytes(to)));
  QS_RETURN_IF_ERROR(ReorderNow(from, data, to, p));
  entries_.push_back({key, to, p});
  return p;
}

absl::StatusOr<const void*> WeightStore::PutFloats(
    const std::vector<float>& data) {
  const MemoryDesc desc({static_cast<dnnl::memory::dim>(data.size())},
                        DnnlType::f32, dnnl::memory::format_tag::a);
  // Keyed by content: batch sizes have the same constants.
  for (const Entry& entry : entries_) {
    if (entry.key.empty() && entry.desc == desc &&
        std::memcmp(entry.data, data.data(), data.size() * 4) == 0) {
      return entry.data;
    }
  }
  QS_ASSIGN_OR_RETURN(std::byte * p, Reserve(data.size() * sizeof(float)));
  std::memcpy(p, data.data(), data.size() * sizeof(float));
  entries_.push_back({"", desc, p});
  return p;
}

}  // namespace quantserve::onednn
