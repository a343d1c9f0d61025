// Pictures that are as wide as the place they get: x in percent, y in percent,
// text in real sizes, so that a phone shows the same picture, readable.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace quantserve::report {

// <svg> with a title that screen readers say and browsers show. `name` is ours
// and unique in the page, `title` from anywhere, `html` markup.
std::string Picture(absl::string_view css, absl::string_view name,
                    absl::string_view title, absl::string_view html);

// All in percent of the picture.
std::string Rect(double x, double y, double width, double height,
                 absl::string_view css);
std::string HorizontalLine(double y, absl::string_view css);
std::string Dot(double x, double y, absl::string_view css);

struct Point {
  double x = 0, y = 0;
  bool gap = false;  // nothing here: the line breaks
};
// A line through `points`.
std::string Polyline(const std::vector<Point>& points, absl::string_view css);

// Columns of the heights 0 to 1, next to each other, as the data of a path in a
// box of one unit for each column and 100 units of height.
std::string ColumnsPath(const std::vector<double>& heights, size_t from,
                        size_t to);

// One bar of parts that add up to a whole.
struct Part {
  double size = 0;  // in any unit; what is not positive is left out
  std::string css;
  std::string title;  // escaped already
};
std::string StackedBar(absl::string_view name, absl::string_view title,
                       const std::vector<Part>& parts);

// A bar in a cell, `share` of the cell's width long, and a lighter one behind
// it up to `behind`.
std::string CellBar(double share, double behind, absl::string_view css);

}  // namespace quantserve::report
