#!/usr/bin/env bash
# Formats every C++ file with clang-format, or checks that they are formatted.
#
#   scripts/format.sh            formats
#   scripts/format.sh --check    exit 1 if a file is not formatted
#
# Versions of clang-format disagree about a few lines in a hundred files, so one
# of them decides: Debian 12's. With another alone, as on Debian 13, --check says
# so and passes, and formatting is refused.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=14
usage() { echo "usage: scripts/format.sh [--check]" >&2; exit 2; }
[ $# -le 1 ] && [ "${1:---check}" = --check ] || usage
check=${1:-}

formatter=
found=
for candidate in "clang-format-$wanted" clang-format; do
  version=$("$candidate" --version 2>/dev/null |
    sed -n 's/.*version \([0-9]*\)\..*/\1/p') || true
  [ -z "$version" ] || found=$version
  if [ "$version" = "$wanted" ]; then
    formatter=$candidate
    break
  fi
done
if [ -z "$formatter" ]; then
  message="the sources are formatted by clang-format $wanted, here is ${found:-none}"
  if [ -n "$check" ]; then
    echo "format: not checked: $message"
    exit 0
  fi
  echo "format.sh: $message" >&2
  exit 1
fi
if [ -n "$check" ]; then
  git ls-files '*.h' '*.cc' | xargs "$formatter" --dry-run -Werror
else
  git ls-files '*.h' '*.cc' | xargs "$formatter" -i
fi
