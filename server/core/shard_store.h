// The shards that requests may name.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/base/mutex.h"
#include "quant/data/shard.h"
#include "server/core/server_options.h"
#include "server/core/shard_directory.h"

namespace quantserve {

// Thread-safe.
class ShardStore {
 public:
  // `directory` may be empty, see ShardDirectory; a shard of the list hides an
  // entry of its name.
  explicit ShardStore(const std::vector<NamedShard>& shards,
                      const std::string& directory = "");

  // How every shard is read from now on, and what it must hold for each input
  // of the model; none: whatever the shard holds.
  void Expect(ReadShardOptions options, std::vector<InputSpec> inputs = {});

  // Reads the shard and keeps it in memory: for those that every run needs.
  // ReadShard's errors, path included: for the operator.
  absl::StatusOr<std::shared_ptr<const Shard>> Pin(const std::string& name);

  // OK if a shard has that name, else NOT_FOUND with the names that there are,
  // or what ShardDirectory says of it.
  absl::Status Check(absl::string_view name) const;

  // The pinned shard, else read anew. NOT_FOUND for an unknown name,
  // FAILED_PRECONDITION if its file is gone, else ReadShard's error; messages
  // name the shard and never its path: for whoever calls.
  absl::StatusOr<std::shared_ptr<const Shard>> Load(
      const std::string& name) const;

  std::vector<std::string> names() const;

 private:
  struct Entry {
    std::string path;
    std::shared_ptr<const Shard> pinned;
  };
  struct Expected {
    ReadShardOptions options;
    std::vector<InputSpec> inputs;
  };
  static absl::StatusOr<Shard> Read(const std::string& path,
                                    const Expected& expected);

  // Of the list, or of the directory.
  absl::StatusOr<Entry> Find(absl::string_view name) const;

  const ShardDirectory directory_;
  mutable Mutex mu_;
  Expected expected_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Entry, std::less<>> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace quantserve
