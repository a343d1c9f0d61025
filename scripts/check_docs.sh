#!/usr/bin/env bash
# Documents name only flags that some program's --help lists, and only metrics
# that a program has.
#   scripts/check_docs.sh build/release/bin
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:-build/release/bin}
docs=(README.md CONTRIBUTING.md quant/README.md server/README.md client/README.md)

help=$(for program in quantserve_server quantize_model evaluate_model make_demo_model; do
  "$bin/$program" --help
done
for command in predict quantize status evaluate bench compare wait promote rollback route; do
  "$bin/quantctl" "$command" --help
done
echo "--help --list --preset") # quantctl's own, install_deps.sh's, CMake's
bad=0
for flag in $(grep -ohE -- '--[a-z][a-z_0-9]+' "${docs[@]}" | sort -u); do
  if ! grep -qE -- "$flag([^a-z_0-9]|\$)" <<<"$help"; then
    echo "check_docs.sh: no program has the flag $flag" >&2
    bad=1
  fi
done
for metric in $(grep -ohE '`quantserve_[a-z_0-9]+' "${docs[@]}" | tr -d '`' | sort -u); do
  [ "$metric" = quantserve_server ] && continue
  if ! grep -rqF "\"$metric\"" server/core; then
    echo "check_docs.sh: no metric is called $metric" >&2
    bad=1
  fi
done
exit $bad
