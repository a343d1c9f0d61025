// A chart over the layers of a model, from the input on the left to the output
// on the right; every layer has a slot of the same width. All charts of a page
// share their slots, so that they can be read one above the other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "quant/report/quantization_report.h"
#include "quant/report/svg.h"

namespace quantserve::report {

// The vertical axis: round ticks, about five, that hold 0 and every finite
// value.
struct Axis {
  double lo = 0, hi = 1, step = 1;
  // From the top, in percent; what lies outside is put on the edge.
  double Y(double value) const;
};
Axis AxisFor(const std::vector<double>& values);

// A value for each layer; NaN where there is none.
using Series = std::vector<double>;

class LayerChart {
 public:
  using FormatTick = std::function<std::string(double)>;
  LayerChart(const std::vector<LayerReport>& layers, Axis axis,
             const FormatTick& format);

  double CentreOf(size_t layer) const;  // in percent
  // The slots of the layers that stay in FP32.
  void AddIslands();
  void AddLine(const Series& series, const std::string& css);
  // One dot for each layer; infinite values at the edge.
  void AddDots(const Series& series, const std::string& css);
  // Bars of this share of a slot's width, coloured by precision or by `css`.
  void AddBars(const Series& series, double width, const std::string& css);
  // Text beside a value, kept inside the picture; `name` only where there is
  // room.
  void AddNote(size_t layer, double value, bool above, const std::string& name,
               const std::string& text);
  // What is shown for each layer under the mouse; not escaped yet.
  void AddTips(const std::function<std::string(size_t)>& tip);

  // The chart with its axes. `name` is ours and unique in the page.
  std::string Html(const std::string& name, const std::string& title) const;

 private:
  std::string Ticks() const;
  std::string Groups() const;

  const std::vector<LayerReport>& layers_;
  const Axis axis_;
  const FormatTick format_;
  std::string html_;
};

}  // namespace quantserve::report
