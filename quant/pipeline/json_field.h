// A value of a JSON document that knows its place in it: every accessor checks
// what it finds, so that a hostile document ends in one clear sentence.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace quantserve {

// "recipe.weight_bits is 9, want 7 to 8". Thrown by JsonField and caught where
// the document is read: nlohmann::json reports through exceptions, too.
class MalformedJson : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Refers to the document, which must outlive it. Thread-compatible. Every
// accessor throws MalformedJson if the value is not what is asked for.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string path)
      : value_(&value), path_(std::move(path)) {}

  // A member of an object.
  JsonField operator[](const std::string& key) const;
  std::optional<JsonField> Find(const std::string& key) const;
  // The members' names, in order.
  std::vector<std::string> Keys() const;
  std::vector<JsonField> Items() const;  // of an array

  std::string Text() const;
  bool Bool() const;
  int64_t Integer(int64_t low, int64_t high) const;
  // A finite number.
  double Number() const;
  // Any number, written by AnyNumber.
  double AnyNumber() const;
  // A finite number that is a float.
  float Float() const;

  [[noreturn]] void Fail(absl::string_view what) const;

 private:
  const nlohmann::json* value_;
  std::string path_;
};

// A number as JSON; as text where JSON has none: "inf", "-inf", "nan".
nlohmann::json AnyNumber(double number);

}  // namespace quantserve
