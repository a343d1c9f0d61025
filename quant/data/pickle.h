// Python's pickle format, as far as torch.save uses it, read without running
// anything: calls are kept as data, and every size is checked.
//
// LibTorch's own reader is not used because it believes what a pickle says
// about the sizes of its storages, and reads beyond them if that is a lie.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantserve {

// A node of the unpickled graph. Lists may contain themselves: walk it to a
// bounded depth only.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,        // number
    kInt,         // number
    kFloat,       // its value is not kept: nothing here needs it
    kString,      // text, UTF-8 or bytes
    kTuple,       // items
    kList,        // items
    kDict,        // items: key, value, key, value …
    kGlobal,      // text: "module name"
    kCall,        // items: the callable, the tuple of its arguments
    kPersistent,  // items: the id
  };
  Kind kind = Kind::kNone;
  int64_t number = 0;
  std::string text;
  std::vector<const PickleValue*> items;

  // Whether this is a call of the global `name` with `arguments` or more.
  bool IsCall(absl::string_view name, size_t arguments) const;
  // An argument of a call for which IsCall holds.
  const PickleValue& argument(size_t i) const { return *items[1]->items[i]; }
};

// Owns the values of one pickle.
class Pickle {
 public:
  // INVALID_ARGUMENT if `bytes` is no whole pickle of protocol 2 to 5, is
  // larger than 1 MiB, or uses an operation that torch.save does not need.
  static absl::StatusOr<Pickle> Parse(absl::string_view bytes);

  const PickleValue& root() const { return *root_; }

 private:
  friend class PickleMachine;
  std::deque<PickleValue> values_;  // never moves its elements
  const PickleValue* root_ = nullptr;
};

}  // namespace quantserve
