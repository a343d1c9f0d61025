#include "quant/base/cpu.h"

#include <sched.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace quantserve {
namespace {

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

#if defined(__x86_64__)

// Which register sets the operating system saves. Without that a feature that
// CPUID shows must not be used.
uint64_t EnabledState() {
  uint32_t eax = 0, edx = 0;
  __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (uint64_t{edx} << 32) | eax;
}

std::string BrandString() {
  uint32_t words[12] = {};
  if (static_cast<uint32_t>(__get_cpuid_max(0x80000000, nullptr)) <
      0x80000004) {
    return "unknown";
  }
  for (uint32_t i = 0; i < 3; ++i) {
    __cpuid(0x80000002 + i, words[4 * i], words[4 * i + 1], words[4 * i + 2],
            words[4 * i + 3]);
  }
  char text[sizeof(words) + 1] = {};
  std::memcpy(text, words, sizeof(words));
  std::string name = text;
  absl::RemoveExtraAsciiWhitespace(&name);
  return name.empty() ? "unknown" : name;
}

CpuFeatures ReadCpu() {
  CpuFeatures cpu;
  cpu.model = BrandString();
  cpu.cores = UsableCores();
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
  constexpr uint32_t kOsXsave = 1u << 27;
  if ((c & kOsXsave) == 0) return cpu;
  const uint64_t state = EnabledState();
  const bool ymm = (state & 0x6) == 0x6;           // SSE and AVX
  const bool zmm = ymm && (state & 0xe0) == 0xe0;  // opmask, both zmm halves
  const bool tiles = zmm && (state & 0x60000) == 0x60000;
  uint32_t a7 = 0, b7 = 0, c7 = 0, d7 = 0;
  if (!__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) return cpu;
  uint32_t a71 = 0, b71 = 0, c71 = 0, d71 = 0;
  if (a7 >= 1) __cpuid_count(7, 1, a71, b71, c71, d71);
  const auto has = [](uint32_t reg, int bit) {
    return ((reg >> bit) & 1) != 0;
  };
  cpu.avx2 = ymm && has(b7, 5);
  cpu.avx512 = zmm && has(b7, 16) && has(b7, 17) && has(b7, 30) && has(b7, 31);
  cpu.avx_vnni = cpu.avx2 && has(a71, 4);
  cpu.vnni = cpu.avx_vnni || (cpu.avx512 && has(c7, 11));
  cpu.avx512_bf16 = cpu.avx512 && has(a71, 5);
  cpu.amx_bf16 = tiles && has(d7, 24) && has(d7, 22);
  cpu.amx_int8 = tiles && has(d7, 24) && has(d7, 25);
  return cpu;
}

#else

CpuFeatures ReadCpu() {
  CpuFeatures cpu;
  cpu.model = "unknown";
  cpu.cores = UsableCores();
  return cpu;
}

#endif

// oneDNN's instruction sets, each with what it still allows.
struct IsaLimit {
  absl::string_view name;
  bool avx2, avx_vnni, avx512, avx512_vnni, bf16, amx;
};

constexpr IsaLimit kLimits[] = {
    {"SSE41", false, false, false, false, false, false},
    {"AVX", false, false, false, false, false, false},
    {"AVX2", true, false, false, false, false, false},
    {"AVX2_VNNI", true, true, false, false, false, false},
    {"AVX2_VNNI_2", true, true, false, false, false, false},
    {"AVX512_MIC", true, false, false, false, false, false},
    {"AVX512_MIC_4OPS", true, false, false, false, false, false},
    {"AVX512_CORE", true, false, true, false, false, false},
    {"AVX512_CORE_VNNI", true, false, true, true, false, false},
    {"AVX512_CORE_BF16", true, true, true, true, true, false},
    {"AVX512_CORE_FP16", true, true, true, true, true, false},
};

}  // namespace

CpuFeatures LimitCpu(CpuFeatures cpu, absl::string_view isa) {
  for (const IsaLimit& limit : kLimits) {
    if (!absl::EqualsIgnoreCase(isa, limit.name)) continue;
    const bool vex = cpu.avx_vnni && limit.avx_vnni;
    // AVX-512 VNNI is what is left of vnni where the AVX2 form is missing; a
    // processor with AVX-512 and the AVX2 form always has the AVX-512 form.
    const bool evex = cpu.vnni && cpu.avx512 && limit.avx512_vnni;
    cpu.avx2 &= limit.avx2;
    cpu.avx512 &= limit.avx512;
    cpu.avx_vnni = vex;
    cpu.vnni = vex || evex;
    cpu.avx512_bf16 &= limit.bf16;
    cpu.amx_int8 &= limit.amx;
    cpu.amx_bf16 &= limit.amx;
    break;
  }
  return cpu;
}

const CpuFeatures& Cpu() {
  static const CpuFeatures* const cpu = [] {
    const char* isa = std::getenv("ONEDNN_MAX_CPU_ISA");
    if (isa == nullptr) isa = std::getenv("DNNL_MAX_CPU_ISA");
    return new CpuFeatures(LimitCpu(ReadCpu(), isa == nullptr ? "" : isa));
  }();
  return *cpu;
}

std::string CpuSummary(const CpuFeatures& cpu) {
  std::string line = absl::StrCat(cpu.model, ", ", cpu.cores,
                                  cpu.cores == 1 ? " core" : " cores", ",");
  const auto add = [&line](bool has, absl::string_view name) {
    if (has) absl::StrAppend(&line, " ", name);
  };
  add(cpu.avx2 && !cpu.avx512, "avx2");
  add(cpu.avx512, "avx512");
  add(cpu.vnni, "vnni");
  add(cpu.avx512_bf16, "bf16");
  add(cpu.amx_int8, "amx_int8");
  add(cpu.amx_bf16, "amx_bf16");
  if (!cpu.avx2) absl::StrAppend(&line, " no avx2");
  return line;
}

}  // namespace quantserve
