// Compiled for AVX-512 F, BW, VL and DQ.
#include <immintrin.h>
#include <stdint.h>

#define QS_KERNEL_NAMESPACE avx512
#define QS_KERNEL_ISA "avx512"
#define QS_KERNEL_LOOK_UP

namespace quantserve::onednn::avx512 {
namespace {

void LookUpScalar(const uint8_t* table, int64_t count, const uint8_t* in,
                  uint8_t* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = table[in[i]];
}

// 64 bytes at a time: each half of the table is a permutation of two registers,
// bit 7 says which half counts.
__attribute__((target("avx512vbmi,avx512bw,avx512f"))) void LookUpVbmi(
    const uint8_t* table, int64_t count, const uint8_t* in, uint8_t* out) {
  const __m512i t0 = _mm512_loadu_si512(table);
  const __m512i t1 = _mm512_loadu_si512(table + 64);
  const __m512i t2 = _mm512_loadu_si512(table + 128);
  const __m512i t3 = _mm512_loadu_si512(table + 192);
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i x = _mm512_loadu_si512(in + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, x, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, x, t3);
    _mm512_storeu_si512(
        out + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high));
  }
  LookUpScalar(table, count - i, in + i, out + i);
}

void LookUp(const uint8_t* table, int64_t count, const uint8_t* in,
            uint8_t* out) {
  static const bool vbmi = __builtin_cpu_supports("avx512vbmi") != 0;
  (vbmi ? LookUpVbmi : LookUpScalar)(table, count, in, out);
}

}  // namespace
}  // namespace quantserve::onednn::avx512

#include "quant/onednn/kernels.inc"

namespace quantserve::onednn {
const KernelTable& Avx512Kernels() { return avx512::kTable; }
}  // namespace quantserve::onednn
