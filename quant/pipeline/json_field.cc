#include "quant/pipeline/json_field.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace quantserve {

using nlohmann::json;

void JsonField::Fail(absl::string_view what) const {
  throw MalformedJson(
      absl::StrCat(path_.empty() ? "the document" : path_, " ", what));
}

JsonField JsonField::operator[](const std::string& key) const {
  auto member = Find(key);
  if (!member.has_value()) Fail(absl::StrCat("has no \"", key, "\""));
  return *std::move(member);
}

std::optional<JsonField> JsonField::Find(const std::string& key) const {
  if (!value_->is_object()) Fail("is no object");
  const auto member = value_->find(key);
  if (member == value_->end()) return std::nullopt;
  return JsonField(*member,
                   path_.empty() ? key : absl::StrCat(path_, ".", key));
}

std::vector<std::string> JsonField::Keys() const {
  if (!value_->is_object()) Fail("is no object");
  std::vector<std::string> keys;
  for (const auto& [key, member] : value_->items()) keys.push_back(key);
  return keys;
}

std::vector<JsonField> JsonField::Items() const {
  if (!value_->is_array()) Fail("is no array");
  std::vector<JsonField> items;
  items.reserve(value_->size());
  for (const json& item : *value_) {
    items.emplace_back(item, absl::StrCat(path_, "[", items.size(), "]"));
  }
  return items;
}

std::string JsonField::Text() const {
  if (!value_->is_string()) Fail("is no text");
  return value_->get<std::string>();
}

bool JsonField::Bool() const {
  if (!value_->is_boolean()) Fail("is neither true nor false");
  return value_->get<bool>();
}

int64_t JsonField::Integer(int64_t low, int64_t high) const {
  if (!value_->is_number_integer()) Fail("is no integer");
  // What does not fit an int64 is stored unsigned.
  const bool fits = !value_->is_number_unsigned() ||
                    value_->get<uint64_t>() <= uint64_t{INT64_MAX};
  const int64_t number = fits ? value_->get<int64_t>() : high;
  if (!fits || number < low || number > high) {
    Fail(absl::StrCat("is ", value_->dump(), ", want ", low, " to ", high));
  }
  return number;
}

double JsonField::Number() const {
  if (!value_->is_number()) Fail("is no number");
  const double number = value_->get<double>();
  if (!std::isfinite(number)) Fail("is not finite");
  return number;
}

double JsonField::AnyNumber() const {
  if (!value_->is_string()) return Number();
  const std::string text = Text();
  if (text == "inf") return HUGE_VAL;
  if (text == "-inf") return -HUGE_VAL;
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  Fail("is no number");
}

float JsonField::Float() const {
  const double number = Number();
  constexpr double kLargest = std::numeric_limits<float>::max();
  const float narrow =
      std::fabs(number) <= kLargest ? static_cast<float>(number) : HUGE_VALF;
  if (double{narrow} != number) {
    Fail(absl::StrCat("is ", value_->dump(),
                      ", want a single-precision number"));
  }
  return narrow;
}

json AnyNumber(double number) {
  if (std::isfinite(number)) return number;
  if (std::isnan(number)) return "nan";
  return number > 0 ? "inf" : "-inf";
}

}  // namespace quantserve
