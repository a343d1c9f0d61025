#include "quant/tensor/input_spec.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

constexpr size_t kMaxInputs = 64, kMaxRank = 16;
constexpr absl::string_view kIntegers = "i64:";

}  // namespace

absl::StatusOr<std::vector<InputSpec>> ParseInputSpecs(absl::string_view text) {
  const auto wrong = [text](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("sample shape \"", text, "\" ", why,
                     ", want something like 3,32,32 or i64:16;3,32,32"));
  };
  std::vector<InputSpec> specs;
  for (absl::string_view part : absl::StrSplit(text, ';')) {
    InputSpec spec;
    spec.integers = absl::ConsumePrefix(&part, kIntegers);
    for (absl::string_view number : absl::StrSplit(part, ',')) {
      int64_t dim = 0;
      if (!absl::SimpleAtoi(number, &dim) || dim < 1) {
        return wrong("has a dimension that is no positive number");
      }
      spec.shape.push_back(dim);
    }
    if (spec.shape.size() > kMaxRank) return wrong("has too many dimensions");
    QS_RETURN_IF_ERROR(NumElements(spec.shape).status());
    specs.push_back(std::move(spec));
  }
  if (specs.size() > kMaxInputs) return wrong("has too many inputs");
  return specs;
}

std::string InputSpecsString(const std::vector<InputSpec>& specs) {
  return absl::StrJoin(specs, ";", [](std::string* out, const InputSpec& spec) {
    absl::StrAppend(out, spec.integers ? kIntegers : "",
                    absl::StrJoin(spec.shape, ","));
  });
}

}  // namespace quantserve
