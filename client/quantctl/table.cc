#include "client/quantctl/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace quantserve {
namespace {

// Columns on a terminal: bytes that continue a UTF-8 character take none.
size_t Width(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
}

}  // namespace

Table::Table(std::vector<std::string> header) { Add(std::move(header)); }

void Table::Add(std::vector<std::string> row) {
  rows_.push_back(std::move(row));
}

std::string Table::Render(const std::string& indent) const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string text;
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string line = indent;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      if (i > 0) line += "  ";
      line += rows_[r][i];
      if (i + 1 < rows_[r].size()) {
        line.append(widths[i] - Width(rows_[r][i]), ' ');
      }
    }
    absl::StrAppend(&text, line, "\n");
    if (r > 0) continue;
    size_t total = widths.empty() ? 0 : 2 * (widths.size() - 1);
    for (size_t width : widths) total += width;
    absl::StrAppend(&text, indent, std::string(total, '-'), "\n");
  }
  return text;
}

std::string Milliseconds(absl::Duration duration) {
  if (duration == absl::ZeroDuration()) return "-";
  const double ms = absl::ToDoubleMilliseconds(duration);
  const int decimals = ms < 1 ? 3 : ms < 100 ? 2 : 0;
  return absl::StrFormat("%.*f ms", decimals, ms);
}

std::string Bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1000000) return absl::StrFormat("%.2f MB", value / 1e6);
  if (bytes >= 1000) return absl::StrFormat("%.1f kB", value / 1e3);
  return absl::StrCat(bytes, " B");
}

std::string Ratio(double ratio) { return absl::StrFormat("%.4f", ratio); }

}  // namespace quantserve
