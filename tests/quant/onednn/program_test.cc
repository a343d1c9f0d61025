// The arena: buffers that live at the same time never overlap, others share.
#include "quant/onednn/program.h"

#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "quant/onednn/huge_region.h"
#include "quant/onednn/strided_copy.h"

namespace quantserve::onednn {
namespace {

Kernel Nothing() {
  return [](const RunArgs&) { return absl::OkStatus(); };
}

TEST(ProgramTest, BuffersOfAChainShareTwoPlaces) {
  Program program;
  std::vector<BufferId> chain;
  for (int i = 0; i < 10; ++i) chain.push_back(program.NewBuffer(1000));
  for (int i = 0; i + 1 < 10; ++i) {
    program.AddKernel("step", {chain[i], chain[i + 1]}, Nothing());
  }
  program.Finish();
  EXPECT_EQ(program.arena_bytes(), 2 * 1024);
}

TEST(ProgramTest, LivingBuffersNeverOverlap) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    Program program;
    constexpr int kBuffers = 30, kSteps = 40;
    std::vector<int64_t> bytes;
    for (int b = 0; b < kBuffers; ++b) {
      bytes.push_back(1 + random() % 5000);
      program.NewBuffer(bytes.back());
    }
    std::vector<int> first(kBuffers, -1), last(kBuffers, -1);
    for (int s = 0; s < kSteps; ++s) {
      std::vector<BufferId> used;
      for (int i = 0; i < 3; ++i) {
        const int b = static_cast<int>(random() % kBuffers);
        used.push_back(b);
        if (first[b] < 0) first[b] = s;
        last[b] = s;
      }
      program.AddKernel("step", used, Nothing());
    }
    program.Finish();
    for (int a = 0; a < kBuffers; ++a) {
      if (first[a] < 0) continue;
      EXPECT_EQ(program.offsets()[a] % 64, 0);
      EXPECT_LE(program.offsets()[a] + bytes[a], program.arena_bytes());
      for (int b = 0; b < a; ++b) {
        if (first[b] < 0 || last[a] < first[b] || last[b] < first[a]) continue;
        const bool apart =
            program.offsets()[a] + bytes[a] <= program.offsets()[b] ||
            program.offsets()[b] + bytes[b] <= program.offsets()[a];
        EXPECT_TRUE(apart) << a << " and " << b;
      }
    }
  }
}

TEST(ProgramTest, StopsAtTheStepThatFails) {
  Program program;
  int ran = 0;
  program.AddKernel("first", {}, [&](const RunArgs&) {
    ++ran;
    return absl::InternalError("broken");
  });
  program.AddKernel("second", {}, [&](const RunArgs&) {
    ++ran;
    return absl::OkStatus();
  });
  program.Finish();
  const BoundProgram bound(program, nullptr);
  const absl::Status status = bound.Run(1, {}, {}, dnnl::stream(CpuEngine()));
  EXPECT_EQ(status.message(), "broken");
  EXPECT_EQ(ran, 1);
}

TEST(HugeRegionTest, IsZeroedAndAligned) {
  auto region = HugeRegion::Allocate(5000);
  ASSERT_TRUE(region.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(region->data()) % (2 << 20), 0u);
  for (size_t i = 0; i < region->size(); ++i) {
    ASSERT_EQ(region->data()[i], std::byte{0});
  }
  HugeRegion moved = *std::move(region);
  moved.data()[4999] = std::byte{1};
  EXPECT_EQ(HugeRegion::Allocate(0)->data(), nullptr);
  EXPECT_EQ(HugeRegion::Allocate(size_t{1} << 60).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(StridedCopyTest, JoinsWhatIsContiguous) {
  StridedCopy copy;
  copy.counts = {2, 3, 4};
  copy.from_strides = {12, 4, 1};
  copy.to_strides = {20, 4, 1};
  copy.Simplify();
  EXPECT_EQ(copy.counts, (std::vector<int64_t>{2, 12}));
  copy.from_strides = {12, 1};
  copy.to_strides = {12, 1};
  copy.Simplify();
  EXPECT_EQ(copy.counts, (std::vector<int64_t>{24}));
}

TEST(StridedCopyTest, CopiesABox) {
  const std::vector<uint8_t> from = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  std::vector<uint8_t> to(9, 99);
  // Columns 1 and 3 of rows 0 and 2 of a 3x4 block, into a 3x3 block at (1, 1).
  StridedCopy copy;
  copy.counts = {2, 2};
  copy.from_strides = {8, 2};
  copy.to_strides = {3, 1};
  copy.from_offset = 1;
  copy.to_offset = 4;
  copy.Simplify();
  copy.Run(reinterpret_cast<const std::byte*>(from.data()),
           reinterpret_cast<std::byte*>(to.data()));
  EXPECT_EQ(to, (std::vector<uint8_t>{99, 99, 99, 99, 1, 3, 99, 9, 11}));
}

}  // namespace
}  // namespace quantserve::onednn
