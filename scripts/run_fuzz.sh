#!/usr/bin/env bash
# Runs the fuzz targets of build/fuzz (tests/fuzz/README.md), as many at a time
# as there are cores. The seeds come first; what they grow into stays in
# build/fuzz/corpus, inputs that fail in build/fuzz/failures.
#
#   scripts/run_fuzz.sh [TARGET...]          default: all
#   QUANTSERVE_FUZZ_SECONDS=600              for each target; default: 60
set -euo pipefail
cd "$(dirname "$0")/.."
export seconds=${QUANTSERVE_FUZZ_SECONDS:-60}
export ASAN_OPTIONS=detect_container_overflow=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

fuzz() { # TARGET
  local log=build/fuzz/$1.log corpus=build/fuzz/corpus/$1
  local failure=build/fuzz/failures/$1- dictionary=tests/fuzz/dictionaries/$1.dict
  mkdir -p "$corpus" build/fuzz/failures
  local options=(-max_total_time="$seconds" -artifact_prefix="$failure"
    -max_len=16384 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256
    -print_final_stats=1 -verbosity=1)
  [ ! -f "$dictionary" ] || options+=(-dict="$dictionary")
  if "build/fuzz/bin/${1}_fuzz" "${options[@]}" "$corpus" \
    "tests/fuzz/seeds/$1" >"$log" 2>&1; then
    printf '%-16s %s\n' "$1" "$(sed -n \
      's/.*number_of_executed_units: */inputs: /p; s/.*peak_rss_mb: */, peak MB: /p' \
      "$log" | tr -d '\n')"
    return
  fi
  grep -v '^#' "$log" | tail -n 60
  printf '%s failed; the input is in %s*\n' "$1" "$failure"
  printf 'again: build/fuzz/bin/%s_fuzz FILE\n' "$1"
  return 1
}
export -f fuzz

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(ls tests/fuzz/seeds)
printf '%s\n' "${targets[@]}" |
  xargs -P "$(nproc)" -I '{}' bash -euc 'fuzz {}'
