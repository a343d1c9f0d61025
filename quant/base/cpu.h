// What this machine's processor can do, asked once.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace quantserve {

struct CpuFeatures {
  std::string model;  // e.g. "AMD EPYC 9R14"
  int cores = 1;      // logical processors this process may run on
  bool avx2 = false;
  bool avx512 = false;    // F, BW, VL and DQ together
  bool vnni = false;      // AVX-512 VNNI or AVX-VNNI: exact u8 x s8 products
  bool avx_vnni = false;  // the AVX2 form of it
  bool avx512_bf16 = false;
  bool amx_int8 = false;
  bool amx_bf16 = false;
};

// The features that may be used: what the processor has, limited by
// ONEDNN_MAX_CPU_ISA (or its old name DNNL_MAX_CPU_ISA) if that is set, so that
// slower paths can be tried. Thread-safe; reads the processor once.
const CpuFeatures& Cpu();

// What is left of `cpu` under oneDNN's limit `isa`: "AVX2", "AVX512_CORE_VNNI",
// … in any case. As in oneDNN, an unknown name, "ALL", "DEFAULT" and "" limit
// nothing.
CpuFeatures LimitCpu(CpuFeatures cpu, absl::string_view isa);

// The same facts in one line: "AMD EPYC, 2 cores, avx512 vnni bf16".
std::string CpuSummary(const CpuFeatures& cpu);

}  // namespace quantserve
