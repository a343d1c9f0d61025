#include "quant/report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"

namespace quantserve::report {
namespace {

// Dots of more layers than this would be a smear.
constexpr size_t kMaxDots = 160;
// Bytes of a name beside a dot.
constexpr size_t kMaxNoted = 40;

// "layer1" of "layer1.0.conv1".
std::string Group(const std::string& name) {
  return name.substr(0, name.find('.'));
}

const char* PrecisionCss(const LayerReport& layer) {
  return layer.quantized ? "int8" : "fp32";
}

}  // namespace

double Axis::Y(double value) const {
  if (std::isnan(value)) return 100;
  return 100 * (1 - (std::clamp(value, lo, hi) - lo) / (hi - lo));
}

Axis AxisFor(const std::vector<double>& values) {
  double lo = 0, hi = 0;
  for (double value : values) {
    if (!std::isfinite(value)) continue;
    lo = std::min(lo, value);
    hi = std::max(hi, value);
  }
  // Neither nothing nor everything: 1e±300 would overflow below.
  lo = std::clamp(lo, -1e30, 0.0);
  hi = std::clamp(hi, 0.0, 1e30);
  if (hi - lo < 1e-30) hi = 1;
  const double rough = (hi - lo) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double digit = rough / power;
  Axis axis;
  axis.step = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
  axis.lo = std::floor(lo / axis.step) * axis.step;
  axis.hi = std::ceil(hi / axis.step) * axis.step;
  return axis;
}

LayerChart::LayerChart(const std::vector<LayerReport>& layers, Axis axis,
                       const FormatTick& format)
    : layers_(layers), axis_(axis), format_(format) {
  for (double tick = axis_.lo; tick <= axis_.hi + axis_.step / 2;
       tick += axis_.step) {
    html_ += HorizontalLine(axis_.Y(tick),
                            std::abs(tick) < axis_.step / 2 ? "zero" : "grid");
  }
}

double LayerChart::CentreOf(size_t layer) const {
  return 100 * (static_cast<double>(layer) + 0.5) /
         static_cast<double>(layers_.size());
}

void LayerChart::AddIslands() {
  const double slot = 100.0 / static_cast<double>(layers_.size());
  for (size_t i = 0; i < layers_.size();) {
    size_t end = i;  // neighbours are one band
    while (end < layers_.size() && !layers_[end].quantized) ++end;
    if (end > i) {
      const double x = slot * static_cast<double>(i);
      const double width = slot * static_cast<double>(end - i);
      absl::StrAppend(&html_, Rect(x, 0, width, 100, "band"),
                      Rect(x, 97, width, 3, "fp32"));
    }
    i = end + 1;
  }
}

void LayerChart::AddLine(const Series& series, const std::string& css) {
  std::vector<Point> points;
  for (size_t i = 0; i < series.size(); ++i) {
    points.push_back({CentreOf(i), axis_.Y(series[i]), std::isnan(series[i])});
  }
  html_ += Polyline(points, css);
}

void LayerChart::AddDots(const Series& series, const std::string& css) {
  if (series.size() > kMaxDots) return;
  for (size_t i = 0; i < series.size(); ++i) {
    if (std::isnan(series[i])) continue;
    html_ += Dot(CentreOf(i), axis_.Y(series[i]),
                 css.empty() ? PrecisionCss(layers_[i]) : css.c_str());
  }
}

void LayerChart::AddBars(const Series& series, double width,
                         const std::string& css) {
  const double slot = 100.0 / static_cast<double>(layers_.size());
  const double zero = axis_.Y(0);
  for (size_t i = 0; i < series.size(); ++i) {
    if (!(series[i] > 0)) continue;
    const double y = axis_.Y(series[i]);
    html_ += Rect(CentreOf(i) - slot * width / 2, y, slot * width, zero - y,
                  css.empty() ? PrecisionCss(layers_[i]) : css.c_str());
  }
}

void LayerChart::AddNote(size_t layer, double value, bool above,
                         const std::string& name, const std::string& text) {
  const double x = CentreOf(layer);
  const char* anchor = x < 35 ? "start" : x > 65 ? "end" : "middle";
  const bool fits = !name.empty() && name.size() <= kMaxNoted;
  absl::StrAppend(
      &html_, "<text class=\"note\" x=\"", PlainNumber(x, 2), "%\" y=\"",
      PlainNumber(axis_.Y(value), 2), "%\" dy=\"", above ? "-.7em" : "1.5em",
      "\" text-anchor=\"", anchor, "\">",
      fits ? absl::StrCat("<tspan>", Escape(name), " </tspan>") : "",
      Escape(text), "</text>");
}

void LayerChart::AddTips(const std::function<std::string(size_t)>& tip) {
  const double slot = 100.0 / static_cast<double>(layers_.size());
  html_ += "<g class=\"tips\">";
  for (size_t i = 0; i < layers_.size(); ++i) {
    absl::StrAppend(
        &html_, "<rect x=\"", PlainNumber(slot * static_cast<double>(i), 2),
        "%\" width=\"", PlainNumber(slot, 2), "%\" height=\"100%\"><title>",
        Escape(tip(i)), "</title></rect>");
  }
  html_ += "</g>";
}

std::string LayerChart::Ticks() const {
  std::string ticks;
  for (double tick = axis_.lo; tick <= axis_.hi + axis_.step / 2;
       tick += axis_.step) {
    const double value = std::abs(tick) < axis_.step / 2 ? 0 : tick;
    absl::StrAppend(&ticks, "<text x=\"100%\" y=\"",
                    PlainNumber(axis_.Y(tick), 2), "%\" dy=\".35em\">",
                    format_(value), "</text>");
  }
  return absl::StrCat("<svg class=\"ticks\" aria-hidden=\"true\">", ticks,
                      "</svg>");
}

// Names of the model's parts under the slots where they fit, else numbers.
std::string LayerChart::Groups() const {
  std::string html;
  int shown = 0;
  const double slot = 100.0 / static_cast<double>(layers_.size());
  const auto add = [&](size_t from, size_t to, const std::string& text) {
    absl::StrAppend(
        &html,
        "<span style=\"left:", PlainNumber(slot * static_cast<double>(from), 2),
        "%;width:", PlainNumber(slot * static_cast<double>(to - from), 2),
        "%\">", Escape(text), "</span>");
    ++shown;
  };
  for (size_t i = 0; i < layers_.size();) {
    const std::string group = Group(layers_[i].name);
    size_t end = i + 1;
    while (end < layers_.size() && Group(layers_[end].name) == group) ++end;
    if (slot * static_cast<double>(end - i) >= 9) add(i, end, group);
    i = end;
  }
  if (shown == 1) {  // "model.": the same for all is no help
    html.clear();
    shown = 0;
  }
  if (shown == 0) {
    const size_t parts = std::min<size_t>(5, layers_.size());
    for (size_t part = 0; part < parts; ++part) {
      const size_t from = part * layers_.size() / parts;
      add(from, (part + 1) * layers_.size() / parts,
          absl::StrCat("№ ", from + 1));
    }
  }
  return absl::StrCat("<div class=\"groups\" aria-hidden=\"true\">", html,
                      "</div>");
}

std::string LayerChart::Html(const std::string& name,
                             const std::string& title) const {
  return absl::StrCat("<div class=\"chart\">", Ticks(),
                      Picture("plot", name, title, html_), Groups(),
                      "</div>\n");
}

}  // namespace quantserve::report
