#include "server/rpc/oip_parameters.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quantserve {

std::string Quoted(const std::string& text) {
  return absl::StrCat("\"", absl::CEscape(text.substr(0, 64)), "\"");
}

absl::StatusOr<int64_t> IntegerOf(const OipParameters& parameters,
                                  const char* name, int64_t otherwise) {
  const auto at = parameters.find(name);
  if (at == parameters.end()) return otherwise;
  const inference::InferParameter& parameter = at->second;
  if (parameter.has_int64_param()) return parameter.int64_param();
  if (parameter.has_uint64_param() &&
      parameter.uint64_param() <= (uint64_t{1} << 62)) {
    return static_cast<int64_t>(parameter.uint64_param());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("parameter ", name, " is no integer"));
}

}  // namespace quantserve
