#include "server/core/variant_id.h"

namespace quantserve {

const char* VariantName(VariantId id) {
  switch (id) {
    case VariantId::kFp32:
      return "fp32";
    case VariantId::kInt8:
      return "int8";
    case VariantId::kBf16:
      return "bf16";
  }
  return "unknown";
}

std::optional<VariantId> ParseVariant(absl::string_view name) {
  for (VariantId id : kAllVariants) {
    if (name == VariantName(id)) return id;
  }
  return std::nullopt;
}

}  // namespace quantserve
