// What a benchmark found beside what it was to find.
#pragma once

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace quantserve::bench {

struct Finding {
  std::string what;  // a line
  double measured = 0;
  std::string unit;  // "/s", "ms", "x"
  // Empty: a number without a target.
  std::string relation;  // ">=", "<="
  double target = 0;

  bool has_target() const { return !relation.empty(); }
  bool met() const;
};

// A table; targets that were missed say so.
std::string FindingsTable(const std::vector<Finding>& findings);
nlohmann::json FindingsJson(const std::vector<Finding>& findings);

}  // namespace quantserve::bench
