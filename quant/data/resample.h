// Resizing as PIL's Image.resize does it, to the bit.
#pragma once

#include "quant/data/image.h"
#include "quant/data/read_options.h"

namespace quantserve {

// Each output pixel is a weighted mean of the input pixels around its centre,
// first along the rows, then along the columns, rounded to 8 bits after each.
// The filter (triangle, or cubic with a = -1/2) is as wide as PIL's: 1 or 2
// input pixels to each side, times the factor by which the image shrinks.
// `width` and `height` >= 1. Thread-safe.
Image Resample(const Image& image, int width, int height,
               Interpolation interpolation);

}  // namespace quantserve
