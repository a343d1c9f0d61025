#include <algorithm>

#include "absl/strings/match.h"
#include "quant/data/readers.h"

namespace quantserve {
namespace {

std::string FindKey(const std::vector<std::string>& names,
                    std::initializer_list<const char*> wanted,
                    const char* prefix) {
  for (const char* key : wanted) {
    if (std::find(names.begin(), names.end(), key) != names.end()) return key;
  }
  // x_test, x_train …; the first in the file's order.
  for (const std::string& name : names) {
    if (absl::StartsWith(name, prefix)) return name;
  }
  return "";
}

}  // namespace

ShardKeys FindShardKeys(const std::vector<std::string>& names) {
  ShardKeys keys;
  keys.samples = FindKey(names, {"x", "images", "inputs", "data"}, "x_");
  if (absl::StartsWith(keys.samples, "x_")) {
    // Files with a training and a test part: stay in the same part.
    keys.labels =
        FindKey(names, {("y" + keys.samples.substr(1)).c_str()}, "y_");
  } else {
    keys.labels = FindKey(names, {"y", "labels", "targets"}, "y_");
  }
  return keys;
}

}  // namespace quantserve
