#include "quant/base/memory.h"

#include <cstring>
#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

constexpr int64_t kBlock = 64 << 10, kBlocks = 1000;

using Blocks = std::vector<std::unique_ptr<char[]>>;

// Below the size from which the C library maps each block by itself.
Blocks Touched() {
  Blocks blocks;
  for (int64_t i = 0; i < kBlocks; ++i) {
    blocks.push_back(std::make_unique<char[]>(kBlock));
    std::memset(blocks.back().get(), 1, kBlock);
  }
  return blocks;
}

TEST(MemoryTest, TellsWhatIsUsedAndGivesBackWhatIsFreed) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer keeps freed memory";
#endif
  const auto before = ReadProcessMemory();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_GT(before->resident_bytes, before->private_bytes);
  EXPECT_GE(before->peak_resident_bytes, before->private_bytes);

  Blocks blocks = Touched();
  const auto pin = std::make_unique<char[]>(1000);  // above them in the heap
  const auto full = ReadProcessMemory();
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_GE(full->private_bytes, before->private_bytes + kBlock * kBlocks / 2);

  blocks.clear();
  ReturnFreedMemory();
  const auto after = ReadProcessMemory();
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_LE(after->private_bytes, full->private_bytes - kBlock * kBlocks / 2);
  // The kernel's counters lag behind by a few pages.
  EXPECT_GE(after->peak_resident_bytes, full->resident_bytes - (2 << 20));
}

}  // namespace
}  // namespace quantserve
