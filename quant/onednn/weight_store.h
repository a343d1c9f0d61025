// Constants of one engine, on huge pages, shared by the batch sizes and read by
// every context. Filled while the engine is compiled, constant afterwards.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/onednn/dnnl_compat.h"
#include "quant/onednn/huge_region.h"

namespace quantserve::onednn {

class WeightStore {
 public:
  // `data`, laid out as `from`, in the layout `to`. A second call with the same
  // key and an equal `to` returns the first one's memory.
  absl::StatusOr<const void*> Put(const std::string& key,
                                  const MemoryDesc& from, const void* data,
                                  const MemoryDesc& to);
  // Whether Put would return memory that is already there.
  bool Has(const std::string& key, const MemoryDesc& to) const;
  // A copy of a vector of floats, shared likewise.
  absl::StatusOr<const void*> PutFloats(const std::vector<float>& data);

  size_t bytes() const { return bytes_; }

 private:
  absl::StatusOr<std::byte*> Reserve(size_t bytes);

  struct Entry {
    std::string key;
    MemoryDesc desc;
    const void* data;
  };
  std::vector<HugeRegion> regions_;
  size_t used_ = 0;  // of the last region
  std::vector<Entry> entries_;
  size_t bytes_ = 0;
};

}  // namespace quantserve::onednn
