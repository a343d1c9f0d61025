// The loops that are the engine's own: everything between the convolutions.
// Written plainly and compiled once for each instruction set; the compiler
// vectorises them. Stateless, thread-safe.
#pragma once

#include <cstdint>

namespace quantserve::onednn {

// How a byte stands for a real number:
//   real = scale * ((byte ^ flip) - zero_point).
// flip is 0x80 for values that are held as s8 (a u8 grid with zero point 128).
struct ByteGrid {
  float scale = 1;
  int32_t zero_point = 0;
  uint8_t flip = 0;
};

// An FP32 image, row-major [channels, height, width], quantized into a frame
// [pad + height + pad, pad + width + pad, frame_channels] with the channels
// innermost. Padding and channels beyond `channels` hold the zero point.
struct FrameShape {
  int64_t channels = 0, height = 0, width = 0;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t frame_channels = 0;
  int64_t frame_height() const { return pad_top + height + pad_bottom; }
  int64_t frame_width() const { return pad_left + width + pad_right; }
};

// Rows of `run` elements. Row r of the second operand is r / rows_per_b, for
// operands that are constant over a plane.
struct BinaryShape {
  bool multiply = false;
  int64_t run = 0;
  int64_t rows_per_b = 1;
};

// Pooling over [n, height, width, channels], channels innermost.
struct PoolShape {
  bool max = false;
  int64_t height = 0, width = 0, channels = 0;
  int64_t out_height = 0, out_width = 0;
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1};
  int64_t pad[2] = {0, 0};         // top, left
  bool count_include_pad = false;  // average
};

// Rows are counted from `begin` to `end`, so that threads share the work.
struct Rows {
  int64_t begin = 0, end = 0;
};

struct KernelTable {
  const char* isa;
  void (*quantize)(const ByteGrid& grid, int64_t count, const float* in,
                   uint8_t* out);
  // Rows of the frame of one image; `scratch` holds width * channels bytes.
  void (*quantize_frame)(const ByteGrid& grid, const FrameShape& shape,
                         Rows rows, const float* in, uint8_t* scratch,
                         uint8_t* out);
  void (*dequantize)(const ByteGrid& grid, int64_t count, const uint8_t* in,
                     float* out);
  // out[i] = table[in[i]], 256 entries.
  void (*look_up)(const uint8_t* table, int64_t count, const uint8_t* in,
                  uint8_t* out);
  // Clamped to [lo, hi] (real numbers), then rounded onto `out_grid`.
  void (*binary_u8)(const BinaryShape& shape, const ByteGrid& a_grid,
                    const ByteGrid& b_grid, const ByteGrid& out_grid, float lo,
                    float hi, Rows rows, const uint8_t* a, const uint8_t* b,
                    uint8_t* out);
  void (*binary_f32)(const BinaryShape& shape, float lo, float hi, Rows rows,
                     const float* a, const float* b, float* out);
  void (*clamp_f32)(float lo, float hi, int64_t count, const float* in,
                    float* out);
  // Rows are n * out_height.
  void (*max_pool_u8)(const PoolShape& shape, uint8_t flip, Rows rows,
                      const uint8_t* in, uint8_t* out);
  void (*average_pool_u8)(const PoolShape& shape, const ByteGrid& in_grid,
                          const ByteGrid& out_grid, Rows rows,
                          const uint8_t* in, uint8_t* out);
  void (*pool_f32)(const PoolShape& shape, Rows rows, const float* in,
                   float* out);
  void (*float_to_bf16)(int64_t count, const float* in, uint16_t* out);
  void (*bf16_to_float)(int64_t count, const uint16_t* in, float* out);
};

// The best table for this processor (after ONEDNN_MAX_CPU_ISA).
const KernelTable& Kernels();

// The tables themselves, for tests; those that the processor lacks must not be
// called.
const KernelTable& BaselineKernels();
const KernelTable& Avx2Kernels();
const KernelTable& Avx512Kernels();

}  // namespace quantserve::onednn
