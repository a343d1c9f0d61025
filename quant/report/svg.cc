#include "quant/report/svg.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"

namespace quantserve::report {
namespace {

std::string Percent(double value) { return PlainNumber(value, 2) + "%"; }

double Sane(double share) {
  return std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0;
}

}  // namespace

std::string Picture(absl::string_view css, absl::string_view name,
                    absl::string_view title, absl::string_view html) {
  return absl::StrCat("<svg class=\"", css,
                      "\" role=\"img\" aria-labelledby=\"", name,
                      "\"><title id=\"", name, "\">", Escape(title), "</title>",
                      html, "</svg>");
}

std::string Rect(double x, double y, double width, double height,
                 absl::string_view css) {
  return absl::StrCat("<rect class=\"", css, "\" x=\"", Percent(x), "\" y=\"",
                      Percent(y), "\" width=\"", Percent(width), "\" height=\"",
                      Percent(height), "\"/>");
}

std::string HorizontalLine(double y, absl::string_view css) {
  return absl::StrCat("<line class=\"", css, "\" x1=\"0\" x2=\"100%\" y1=\"",
                      Percent(y), "\" y2=\"", Percent(y), "\"/>");
}

std::string Dot(double x, double y, absl::string_view css) {
  return absl::StrCat("<circle class=\"", css, "\" cx=\"", Percent(x),
                      "\" cy=\"", Percent(y), "\" r=\"3\"/>");
}

std::string Polyline(const std::vector<Point>& points, absl::string_view css) {
  // Paths know no percent: a box of 1000 by 1000 stretched over the picture,
  // with strokes that keep their width.
  std::string path;
  bool pen_up = true;
  for (const Point& point : points) {
    if (!point.gap) {
      absl::StrAppend(&path, pen_up ? "M" : "L", PlainNumber(point.x * 10, 1),
                      " ", PlainNumber(point.y * 10, 1));
    }
    pen_up = point.gap;
  }
  return absl::StrCat(
      "<svg class=\"over\" width=\"100%\" height=\"100%\" viewBox=\"0 0 1000 "
      "1000\" preserveAspectRatio=\"none\"><path class=\"",
      css, "\" d=\"", path, "\"/></svg>");
}

std::string ColumnsPath(const std::vector<double>& heights, size_t from,
                        size_t to) {
  std::string path;
  bool down = true;
  for (size_t i = from; i < to; ++i) {
    const int top = 100 - static_cast<int>(std::lround(Sane(heights[i]) * 100));
    if (top == 100) {
      if (!down) path += "V100";
      down = true;
      continue;
    }
    if (down) absl::StrAppend(&path, "M", i, " 100");
    absl::StrAppend(&path, "V", top, "h1");
    down = false;
  }
  return down ? path : path + "V100";
}

std::string StackedBar(absl::string_view name, absl::string_view title,
                       const std::vector<Part>& parts) {
  double whole = 0;
  for (const Part& part : parts) whole += std::max(0.0, part.size);
  std::string html;
  double at = 0;
  for (const Part& part : parts) {
    if (!(part.size > 0) || !std::isfinite(whole)) continue;
    const double width = part.size / whole * 100;
    absl::StrAppend(&html, "<g><title>", part.title, "</title>",
                    Rect(at, 0, width, 100, part.css), "</g>");
    at += width;
  }
  return Picture("strip", name, title, html);
}

std::string CellBar(double share, double behind, absl::string_view css) {
  return absl::StrCat("<svg class=\"bar\" aria-hidden=\"true\">",
                      Rect(0, 0, Sane(behind) * 100, 100, "behind"),
                      Rect(0, 0, Sane(share) * 100, 100, css), "</svg>");
}

}  // namespace quantserve::report
