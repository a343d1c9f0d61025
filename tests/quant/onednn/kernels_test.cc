// Every instruction set's loops compute what the baseline's compute, and the
// baseline's what the reference does.
#include "quant/onednn/kernels.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "quant/base/cpu.h"
#include "quant/plan/reference.h"

namespace quantserve::onednn {
namespace {

std::vector<const KernelTable*> Tables() {
  std::vector<const KernelTable*> tables = {&BaselineKernels()};
  if (Cpu().avx2) tables.push_back(&Avx2Kernels());
  if (Cpu().avx512) tables.push_back(&Avx512Kernels());
  return tables;
}

std::vector<uint8_t> RandomBytes(size_t count) {
  std::mt19937 random(5);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
  return bytes;
}

TEST(KernelsTest, QuantizesHalfToEvenAndSaturates) {
  // Scale 1: the quotients are exact, so ties must go to the even code.
  const std::vector<float> in = {
      0,     0.5f,   1.5f,          2.5f,
      -0.5f, -1.5f,  300,           -300,
      1e30f, -1e30f, std::nanf(""), std::numeric_limits<float>::infinity()};
  for (const KernelTable* k : Tables()) {
    for (const uint8_t flip : {uint8_t{0}, uint8_t{0x80}}) {
      const int32_t zero_point = flip == 0 ? 10 : 128;
      std::vector<uint8_t> out(in.size());
      k->quantize({1, zero_point, flip}, static_cast<int64_t>(in.size()),
                  in.data(), out.data());
      for (size_t i = 0; i < in.size(); ++i) {
        EXPECT_EQ(out[i] ^ flip, QuantizeReal(in[i], {1, zero_point}))
            << k->isa << " " << in[i];
      }
    }
  }
}

TEST(KernelsTest, QuantizesIntoAFrame) {
  for (const int64_t channels : {1, 3, 4}) {
    for (const int64_t width : {1, 5, 64, 67}) {
      FrameShape s;
      s.channels = channels;
      s.frame_channels = channels == 3 ? 4 : channels;
      s.height = 3;
      s.width = width;
      s.pad_top = 1;
      s.pad_left = 2;
      s.pad_bottom = 0;
      s.pad_right = 3;
      std::vector<float> image(channels * 3 * width);
      for (size_t i = 0; i < image.size(); ++i) {
        image[i] = static_cast<float>(i % 97) - 40;
      }
      for (const KernelTable* k : Tables()) {
        std::vector<uint8_t> scratch(width * channels);
        std::vector<uint8_t> frame(
            s.frame_height() * s.frame_width() * s.frame_channels, 0xee);
        const ByteGrid grid{1, 100, 0};
        k->quantize_frame(grid, s, {0, 2}, image.data(), scratch.data(),
                          frame.data());
        k->quantize_frame(grid, s, {2, s.frame_height()}, image.data(),
                          scratch.data(), frame.data());
        for (int64_t y = 0; y < s.frame_height(); ++y) {
          for (int64_t x = 0; x < s.frame_width(); ++x) {
            for (int64_t c = 0; c < s.frame_channels; ++c) {
              const int64_t iy = y - 1, ix = x - 2;
              const bool inside =
                  iy >= 0 && iy < 3 && ix >= 0 && ix < width && c < channels;
              const float want =
                  inside ? 100 + image[(c * 3 + iy) * width + ix] : 100;
              EXPECT_EQ(frame[(y * s.frame_width() + x) * s.frame_channels + c],
                        want)
                  << k->isa << " " << y << " " << x << " " << c;
            }
          }
        }
      }
    }
  }
}

TEST(KernelsTest, LooksUpEveryByte) {
  std::vector<uint8_t> table(256);
  std::iota(table.rbegin(), table.rend(), uint8_t{0});
  std::swap(table[3], table[200]);
  for (const size_t count : {0, 1, 63, 64, 65, 1000}) {
    const std::vector<uint8_t> in = RandomBytes(count);
    for (const KernelTable* k : Tables()) {
      std::vector<uint8_t> out = in;  // in place
      k->look_up(table.data(), static_cast<int64_t>(count), out.data(),
                 out.data());
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(out[i], table[in[i]]) << k->isa;
      }
    }
  }
}

TEST(KernelsTest, AllTablesAgreeOnPools) {
  PoolShape s;
  s.height = 7;
  s.width = 9;
  s.channels = 70;
  s.out_height = 4;
  s.out_width = 5;
  s.kernel[0] = s.kernel[1] = 3;
  s.stride[0] = s.stride[1] = 2;
  s.pad[0] = s.pad[1] = 1;
  const std::vector<uint8_t> in = RandomBytes(2 * 7 * 9 * 70);
  std::vector<uint8_t> want_max, want_mean;
  for (const KernelTable* k : Tables()) {
    std::vector<uint8_t> max(2 * 4 * 5 * 70), mean(max.size());
    k->max_pool_u8(s, 0x80, {0, 8}, in.data(), max.data());
    k->average_pool_u8(s, {0.5f, 3, 0}, {0.25f, 7, 0x80}, {0, 8}, in.data(),
                       mean.data());
    if (want_max.empty()) {
      want_max = max;
      want_mean = mean;
    }
    EXPECT_EQ(max, want_max) << k->isa;
    EXPECT_EQ(mean, want_mean) << k->isa;
  }
}

TEST(KernelsTest, RoundsToBf16HalfToEven) {
  const std::vector<float> in = {1.0f,      1.00390625f, 1.01171875f,
                                 -3.14159f, 1e38f,       0.0f};
  for (const KernelTable* k : Tables()) {
    std::vector<uint16_t> half(in.size());
    std::vector<float> back(in.size());
    k->float_to_bf16(static_cast<int64_t>(in.size()), in.data(), half.data());
    k->bf16_to_float(static_cast<int64_t>(in.size()), half.data(), back.data());
    EXPECT_EQ(back[0], 1.0f);
    EXPECT_EQ(back[1], 1.0f);       // a tie, to even
    EXPECT_EQ(back[2], 1.015625f);  // a tie, to even
    EXPECT_EQ(back[3], -3.140625f);
    EXPECT_NEAR(back[4] / 1e38f, 1, 0.004);
    EXPECT_EQ(back[5], 0.0f);
    const float nan = std::nanf("");
    uint16_t nan_half;
    k->float_to_bf16(1, &nan, &nan_half);
    k->bf16_to_float(1, &nan_half, back.data());
    EXPECT_TRUE(std::isnan(back[0])) << k->isa;
  }
}

}  // namespace
}  // namespace quantserve::onednn
