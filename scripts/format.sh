#!/usr/bin/env bash
# Formats every C++ file with clang-format, or checks that they are formatted.
#
#   scripts/format.sh            formats
#   scripts/format.sh --check    exit 1 if a file is not formatted; where only
#                                another version of clang-format is installed, as
#                                on Debian 13, it says so and passes
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/clang_tool.sh

usage() { echo "usage: scripts/format.sh [--check]" >&2; exit 2; }
[ $# -le 1 ] && [ "${1:---check}" = --check ] || usage

if ! formatter=$(clang_tool clang-format); then
  [ $# -eq 1 ] || exit 1
  echo "format: not checked"
  exit 0
fi
options=(-i)
[ $# -eq 0 ] || options=(--dry-run -Werror)
git ls-files '*.h' '*.cc' | xargs "$formatter" "${options[@]}"
