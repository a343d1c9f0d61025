// Numbers as people read them: units, SI prefixes, thousands separators, a real
// minus sign. What is not a number is "—", infinity is "∞". Between a number
// and its unit stands a narrow space that does not break.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "quant/tensor/tensor.h"

namespace quantserve::report {

inline constexpr char kMissing[] = "—";

std::string FormatCount(int64_t count);  // "1,234,567"
std::string FormatSi(int64_t count);     // "1.81 G", "940"
std::string FormatBytes(int64_t bytes);  // "44.7 MB", powers of 1000
// "91.54 %". Never "100 %" for less than all nor "0 %" for more than nothing:
// "> 99.99 %", "0.0012 %", "< 0.001 %".
std::string FormatPercent(double share);
// The difference of two shares: "−0.10 points".
std::string FormatPoints(double difference);
std::string FormatDb(double decibels);           // "29.0 dB"
std::string FormatElapsed(absl::Duration time);  // "356 µs", "2 min 5 s"
std::string FormatReal(double value);            // "−2.62", "1.20×10⁻⁷"
std::string FormatRatio(double ratio);           // "3.4×"
std::string FormatShape(const Shape& shape);     // "1×64×56×56"
std::string Plural(int64_t count, absl::string_view singular,
                   absl::string_view plural);  // "1 layer", "2 layers"
// Digits enough for a machine to sort or place by, and no more: "12.5", "0".
// NaN and infinities are "0".
std::string PlainNumber(double value, int decimals);

}  // namespace quantserve::report
