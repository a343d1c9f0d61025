// The names of a model's variants.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"

namespace quantserve {

// The closed set of variants: metrics have one series for each.
enum class VariantId { kFp32, kInt8, kBf16 };
inline constexpr VariantId kAllVariants[] = {VariantId::kFp32, VariantId::kInt8,
                                             VariantId::kBf16};
inline constexpr int kVariantCount = 3;

// "fp32", "int8", "bf16".
const char* VariantName(VariantId id);
// None for any other name.
std::optional<VariantId> ParseVariant(absl::string_view name);

}  // namespace quantserve
