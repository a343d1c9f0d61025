// Documents with the shapes that real quantizations have, the same in every
// run.
#pragma once

#include "quant/report/quantization_report.h"

namespace quantserve {

// A ResNet-34 on 224 by 224 images with a small head of its own: 59 layers,
// histograms like those of ReLUs, of sums and of heavy tails.
ReportDocument SampleDocument();

// The same with `layers` layers, named by their numbers from the 60th on.
ReportDocument SampleDocumentOf(int layers);

// What a hostile model could bring: markup, quotes, controls, broken UTF-8,
// numbers that are none, endless names, counters that make no sense.
ReportDocument HostileDocument();

// Only a title.
ReportDocument EmptyDocument();

}  // namespace quantserve
