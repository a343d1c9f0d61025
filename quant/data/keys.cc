#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/arrays.h"

namespace quantserve {
namespace {

constexpr char kInput[] = "input_";

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string FindKey(const std::vector<std::string>& names,
                    std::initializer_list<const char*> wanted,
                    const char* prefix) {
  for (const char* key : wanted) {
    if (Contains(names, key)) return key;
  }
  // x_test, x_train …; the first in the file's order.
  for (const std::string& name : names) {
    if (absl::StartsWith(name, prefix)) return name;
  }
  return "";
}

// input_0, input_1 …; empty if there is none of them.
absl::StatusOr<std::vector<std::string>> NumberedInputs(
    const std::vector<std::string>& names) {
  int64_t last = -1;
  for (const std::string& name : names) {
    int64_t number = 0;
    if (absl::StartsWith(name, kInput) &&
        absl::SimpleAtoi(name.substr(sizeof(kInput) - 1), &number) &&
        absl::StrCat(kInput, number) == name) {
      last = std::max(last, number);
    }
  }
  if (last >= kMaxInputs) {
    return absl::InvalidArgumentError(absl::StrCat("has inputs up to ", kInput,
                                                   last, ", expected at most ",
                                                   kMaxInputs, " inputs"));
  }
  std::vector<std::string> inputs;
  for (int64_t i = 0; i <= last; ++i) {
    inputs.push_back(absl::StrCat(kInput, i));
    if (Contains(names, inputs.back())) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("has ", kInput, last, " but no ", inputs.back(),
                     ", expected every input from ", kInput, "0 on"));
  }
  return inputs;
}

}  // namespace

absl::StatusOr<ShardKeys> FindShardKeys(const std::vector<std::string>& names) {
  ShardKeys keys;
  QS_ASSIGN_OR_RETURN(keys.inputs, NumberedInputs(names));
  if (keys.inputs.empty()) {
    const std::string samples =
        FindKey(names, {"x", "images", "inputs", "data"}, "x_");
    if (samples.empty()) return keys;
    keys.inputs.push_back(samples);
    if (absl::StartsWith(samples, "x_")) {
      // Files with a training and a test part: stay in the same part.
      keys.labels = FindKey(names, {("y" + samples.substr(1)).c_str()}, "y_");
      return keys;
    }
  }
  keys.labels = FindKey(names, {"y", "labels", "targets"}, "y_");
  return keys;
}

}  // namespace quantserve
