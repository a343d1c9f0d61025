#include "quant/base/cpu.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

// A server processor with everything.
CpuFeatures Full() {
  CpuFeatures cpu;
  cpu.model = "Test CPU";
  cpu.cores = 2;
  cpu.avx2 = cpu.avx512 = cpu.vnni = cpu.avx_vnni = true;
  cpu.avx512_bf16 = cpu.amx_int8 = cpu.amx_bf16 = true;
  return cpu;
}

std::string Flags(const CpuFeatures& cpu) {
  std::string flags;
  if (cpu.avx2) flags += "avx2 ";
  if (cpu.avx512) flags += "avx512 ";
  if (cpu.vnni) flags += "vnni ";
  if (cpu.avx_vnni) flags += "avx_vnni ";
  if (cpu.avx512_bf16) flags += "bf16 ";
  if (cpu.amx_int8 || cpu.amx_bf16) flags += "amx ";
  return flags;
}

TEST(LimitCpuTest, LeavesWhatTheInstructionSetAllows) {
  const std::string all = Flags(Full());
  const struct {
    const char* isa;
    std::string flags;
  } kCases[] = {
      {"SSE41", ""},
      {"AVX", ""},
      {"AVX2", "avx2 "},
      {"AVX2_VNNI", "avx2 vnni avx_vnni "},
      {"AVX512_CORE", "avx2 avx512 "},
      {"AVX512_CORE_VNNI", "avx2 avx512 vnni "},
      {"AVX512_CORE_BF16", "avx2 avx512 vnni avx_vnni bf16 "},
      {"AVX512_CORE_AMX", all},
      {"ALL", all},
      {"DEFAULT", all},
      {"", all},
      {"avx2", "avx2 "},
      {"no such thing", all},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Flags(LimitCpu(Full(), c.isa)), c.flags) << c.isa;
  }
}

// Zen 4 has AVX-512 VNNI and no AVX2 form of it.
TEST(LimitCpuTest, Avx2VnniNeedsTheAvx2Form) {
  CpuFeatures cpu = Full();
  cpu.avx_vnni = false;
  EXPECT_EQ(Flags(LimitCpu(cpu, "AVX2_VNNI")), "avx2 ");
  EXPECT_EQ(Flags(LimitCpu(cpu, "AVX512_CORE_VNNI")), "avx2 avx512 vnni ");
}

TEST(LimitCpuTest, NeverAddsAFeature) {
  EXPECT_EQ(Flags(LimitCpu(CpuFeatures(), "AVX512_CORE_AMX")), "");
  EXPECT_EQ(Flags(LimitCpu(CpuFeatures(), "AVX512_CORE_VNNI")), "");
  EXPECT_EQ(Flags(LimitCpu(CpuFeatures(), "AVX2_VNNI")), "");
}

TEST(CpuTest, IsConsistent) {
  const CpuFeatures& cpu = Cpu();
  EXPECT_EQ(&cpu, &Cpu());
  EXPECT_GE(cpu.cores, 1);
  EXPECT_FALSE(cpu.model.empty());
  if (cpu.avx512) {
    EXPECT_TRUE(cpu.avx2);
  }
  if (cpu.avx512_bf16) {
    EXPECT_TRUE(cpu.avx512);
  }
  if (cpu.avx_vnni) {
    EXPECT_TRUE(cpu.vnni);
  }
}

#if defined(__x86_64__)
TEST(CpuTest, AgreesWithTheCompilersRuntime) {
  // Runs where no limit is set in the environment.
  const CpuFeatures& cpu = Cpu();
  EXPECT_EQ(cpu.avx2, __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(cpu.avx512, __builtin_cpu_supports("avx512f") != 0 &&
                            __builtin_cpu_supports("avx512bw") != 0 &&
                            __builtin_cpu_supports("avx512vl") != 0 &&
                            __builtin_cpu_supports("avx512dq") != 0);
  EXPECT_EQ(cpu.vnni && !cpu.avx_vnni,
            __builtin_cpu_supports("avx512vnni") != 0 && !cpu.avx_vnni);
}

// In a process of its own, because the processor is asked once.
TEST(CpuDeathTest, ObeysTheEnvironment) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto exits_with = [](const char* name, const char* value,
                             bool want_avx512) {
    setenv(name, value, 1);
    _exit(Cpu().avx512 == want_avx512 ? 0 : 1);
  };
  EXPECT_EXIT(exits_with("ONEDNN_MAX_CPU_ISA", "AVX2", false),
              testing::ExitedWithCode(0), "");
  EXPECT_EXIT(exits_with("DNNL_MAX_CPU_ISA", "AVX2", false),
              testing::ExitedWithCode(0), "");
}
#endif

TEST(CpuSummaryTest, SaysWhatThereIs) {
  EXPECT_EQ(CpuSummary(Full()),
            "Test CPU, 2 cores, avx512 vnni bf16 amx_int8 amx_bf16");
  EXPECT_EQ(CpuSummary(LimitCpu(Full(), "AVX2")), "Test CPU, 2 cores, avx2");
  CpuFeatures old;
  old.model = "Old CPU";
  EXPECT_EQ(CpuSummary(old), "Old CPU, 1 core, no avx2");
}

}  // namespace
}  // namespace quantserve
