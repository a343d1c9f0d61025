// Tables and numbers for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace quantserve {

// Columns as wide as their widest cell. A row may be shorter than the header.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void Add(std::vector<std::string> row);
  // Lines, each ended; every one starts with `indent`.
  std::string Render(const std::string& indent = "") const;

 private:
  std::vector<std::vector<std::string>> rows_;  // the header first
};

// "0.47 ms"; "-" for zero.
std::string Milliseconds(absl::Duration duration);
// "1.05 MB".
std::string Bytes(int64_t bytes);
// "0.9160".
std::string Ratio(double ratio);

}  // namespace quantserve
