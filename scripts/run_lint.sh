#!/usr/bin/env bash
# clang-tidy over the lower rooms of quant and the oneDNN engine; warnings are
# errors. They compile without LibTorch, whose headers cost ten seconds a file.
# Uses the tsan preset's compile commands, which cover those rooms. Where only
# another version of clang-tidy is installed, as on Debian 13, it says so and
# passes.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/clang_tool.sh
if ! tidy=$(clang_tool clang-tidy); then
  echo "lint: not checked"
  exit 0
fi
[ -f build/tsan/compile_commands.json ] || cmake --preset tsan >/dev/null
git ls-files quant/{base,data,eval,onednn,ranges,report,tensor}/'*.cc' |
  xargs -P "$(nproc)" -n 4 "$tidy" -quiet -p build/tsan \
    --extra-arg=-Wno-unknown-warning-option --warnings-as-errors='*' \
    2>/dev/null
