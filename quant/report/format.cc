#include "quant/report/format.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace quantserve::report {
namespace {

// From here on digits say nothing: powers of ten.
constexpr double kHuge = 1e5;
constexpr char kNarrowSpace[] = "\u202f";

std::string RealMinus(const std::string& number) {
  return absl::StrReplaceAll(number, {{"-", "−"}});
}

// `value` with three significant digits at most, for 1 <= value < 1000.
std::string ThreeDigits(double value) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*f", decimals, value);
}

// value / unit in the largest of the units that it reaches.
struct Unit {
  double size;
  const char* name;
};

std::string InUnits(double value, const std::vector<Unit>& units) {
  for (const Unit& unit : units) {
    // 999.6 k would be shown as "1000 k".
    if (std::abs(value) >= unit.size * 0.9995) {
      return RealMinus(absl::StrCat(value < 0 ? "-" : "",
                                    ThreeDigits(std::abs(value) / unit.size),
                                    kNarrowSpace, unit.name));
    }
  }
  return "";
}

}  // namespace

std::string FormatCount(int64_t count) {
  // Digits of the unsigned value, so that the smallest int64 has a negative.
  uint64_t rest = count < 0 ? 0 - static_cast<uint64_t>(count) : count;
  std::string digits = absl::StrCat(rest);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(at, ",");
  }
  return count < 0 ? absl::StrCat("−", digits) : digits;
}

std::string FormatSi(int64_t count) {
  const std::string si = InUnits(static_cast<double>(count), {{1e18, "E"},
                                                              {1e15, "P"},
                                                              {1e12, "T"},
                                                              {1e9, "G"},
                                                              {1e6, "M"},
                                                              {1e3, "k"}});
  return si.empty() ? FormatCount(count) : si;
}

std::string FormatBytes(int64_t bytes) {
  const std::string si = InUnits(
      static_cast<double>(bytes),
      {{1e15, "PB"}, {1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}});
  return si.empty() ? absl::StrCat(FormatCount(bytes), kNarrowSpace, "B") : si;
}

std::string FormatReal(double value) {
  if (std::isnan(value)) return kMissing;
  if (std::isinf(value)) return value < 0 ? "−∞" : "∞";
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size >= 1e-3 && size < 1e5) {
    const int decimals = size < 0.1   ? 4
                         : size < 1   ? 3
                         : size < 10  ? 2
                         : size < 100 ? 1
                                      : 0;
    return RealMinus(absl::StrFormat("%.*f", decimals, value));
  }
  const std::string text = absl::StrFormat("%.2e", value);  // "-1.20e-07"
  const size_t e = text.find('e');
  std::string exponent = absl::StrCat(std::stoi(text.substr(e + 1)));
  exponent = absl::StrReplaceAll(exponent, {{"-", "⁻"},
                                            {"0", "⁰"},
                                            {"1", "¹"},
                                            {"2", "²"},
                                            {"3", "³"},
                                            {"4", "⁴"},
                                            {"5", "⁵"},
                                            {"6", "⁶"},
                                            {"7", "⁷"},
                                            {"8", "⁸"},
                                            {"9", "⁹"}});
  return RealMinus(absl::StrCat(text.substr(0, e), "×10", exponent));
}

std::string FormatPercent(double share) {
  if (!std::isfinite(share)) return std::isnan(share) ? kMissing : "∞";
  const double percent = share * 100;
  if (percent == 0) return absl::StrCat("0", kNarrowSpace, "%");
  const double size = std::abs(percent);
  std::string number;
  if (size >= kHuge) {
    number = FormatReal(percent);
  } else if (size < 1e-3) {
    number = percent < 0 ? "> −0.001" : "< 0.001";
  } else if (size < 0.1) {  // two significant digits
    number = absl::StrFormat("%.*f",
                             size < 1e-3   ? 5
                             : size < 1e-2 ? 4
                                           : 3,
                             percent);
  } else if (percent < 100 && percent > 99.99) {
    number = "> 99.99";
  } else {
    number = percent == std::round(percent) && size >= 100
                 ? absl::StrFormat("%.0f", percent)
                 : absl::StrFormat("%.2f", percent);
  }
  return RealMinus(absl::StrCat(number, kNarrowSpace, "%"));
}

std::string FormatPoints(double difference) {
  if (!std::isfinite(difference)) return kMissing;
  const double size = std::abs(difference) * 100;
  std::string points = size >= kHuge
                           ? FormatReal(difference * 100)
                           : absl::StrFormat("%+.2f", difference * 100);
  if (points == "-0.00" || points == "+0.00") points = "±0.00";
  return RealMinus(absl::StrCat(points, kNarrowSpace, "points"));
}

std::string FormatDb(double decibels) {
  if (std::isnan(decibels)) return kMissing;
  const std::string number = std::isinf(decibels) ? (decibels < 0 ? "-∞" : "∞")
                             : std::abs(decibels) >= kHuge
                                 ? FormatReal(decibels)
                                 : absl::StrFormat("%.1f", decibels);
  return RealMinus(absl::StrCat(number, kNarrowSpace, "dB"));
}

std::string FormatElapsed(absl::Duration time) {
  if (time == absl::InfiniteDuration()) return "∞";
  if (time == -absl::InfiniteDuration()) return "−∞";
  const double seconds = absl::ToDoubleSeconds(time);
  const auto whole =
      static_cast<int64_t>(std::llround(std::clamp(seconds, -9e15, 9e15)));
  if (whole >= 3600) {
    return absl::StrCat(FormatCount(whole / 3600), kNarrowSpace, "h",
                        kNarrowSpace, whole % 3600 / 60, kNarrowSpace, "min");
  }
  if (whole >= 60) {
    return absl::StrCat(whole / 60, kNarrowSpace, "min", kNarrowSpace,
                        whole % 60, kNarrowSpace, "s");
  }
  if (seconds == 0) return absl::StrCat("0", kNarrowSpace, "s");
  const std::string number =
      InUnits(seconds, {{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-9, "ns"}});
  return number.empty() ? absl::StrCat("< 1", kNarrowSpace, "ns") : number;
}

std::string FormatRatio(double ratio) {
  if (!std::isfinite(ratio)) return kMissing;
  if (std::abs(ratio) >= kHuge) return FormatReal(ratio) + "×";
  return absl::StrCat(absl::StrFormat("%.*f", ratio < 10 ? 1 : 0, ratio), "×");
}

std::string FormatShape(const Shape& shape) {
  return shape.empty() ? "scalar" : absl::StrJoin(shape, "×");
}

std::string Plural(int64_t count, absl::string_view singular,
                   absl::string_view plural) {
  return absl::StrCat(FormatCount(count), " ", count == 1 ? singular : plural);
}

std::string PlainNumber(double value, int decimals) {
  if (!std::isfinite(value)) return "0";
  std::string number = absl::StrFormat("%.*f", decimals, value);
  if (decimals > 0) {
    number.erase(number.find_last_not_of('0') + 1);
    if (number.back() == '.') number.pop_back();
  }
  return number == "-0" ? "0" : number;
}

}  // namespace quantserve::report
