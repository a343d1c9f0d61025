#!/usr/bin/env bash
# clang-tidy over the rooms that compile without LibTorch (its headers cost ten
# seconds a file); warnings are errors. Uses the tsan preset's compile commands,
# which cover exactly those rooms.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build/tsan/compile_commands.json ] || cmake --preset tsan >/dev/null
git ls-files 'quant/*.cc' 'server/core/*.cc' |
  grep -vE '^quant/(torch|pipeline|tools|demo)/' |
  xargs -P "$(nproc)" -n 4 clang-tidy -quiet -p build/tsan \
    --extra-arg=-Wno-unknown-warning-option --warnings-as-errors='*' \
    2>/dev/null
