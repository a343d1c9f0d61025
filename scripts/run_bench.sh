#!/usr/bin/env bash
# Runs the engine benchmarks of a release build: a table on the terminal and a
# JSON file beside the build. Arguments after the directory go to the benchmark:
#   scripts/run_bench.sh build/release/bin --benchmark_filter=resnet18-32
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${1:-build/release/bin}
shift || true
out=${QUANTSERVE_BENCH_OUT:-$(dirname "$bin")/bench.json}
# A thread that waits spins: passive waiting makes two-thread runs many times
# slower.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-active}
"$bin/engine_bench" --benchmark_out="$out" --benchmark_out_format=json "$@"
echo "written to $out"
