// What bench measured, as a table, as CSV and as JSON.
#pragma once

#include <string>
#include <vector>

#include "client/load/measure.h"
#include "nlohmann/json.hpp"

namespace quantserve {

struct BenchRow {
  std::string variant;
  LoadOptions load;
  int connections = 1;
  bool stream = false;
  Measurement measured;
};

// "4 clients", "500/s poisson".
std::string LoadText(const LoadOptions& load);

// Followed by a line for each thing that one must know to read it: errors by
// code, figures that did not settle, requests that were sent late or never.
std::string BenchTable(const std::vector<BenchRow>& rows);
nlohmann::json BenchJson(const BenchRow& row);
// A header and a line for each row, with the JSON's names; ended by newlines.
std::string BenchCsv(const std::vector<BenchRow>& rows);

}  // namespace quantserve
