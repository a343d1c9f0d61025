#!/usr/bin/env bash
# The checks of the project, from a fresh clone: format, layers, lint, unit,
# integration and end-to-end tests, the sanitizer presets, fuzzing and clang's
# thread-safety analysis. QUANTSERVE_TEST_STEPS names the steps to run; clang and
# services run only when they are named, to stay in the time.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=${QUANTSERVE_TEST_STEPS:-format layers release tsan asan fuzz lint}
jobs=$(nproc)
launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
start=$SECONDS

configure() { # PRESET [CMAKE ARGUMENTS]
  local preset=$1
  shift
  cmake --preset "$preset" "${launcher[@]}" "$@" \
    >"build/$preset.configure.log" 2>&1 || {
    cat "build/$preset.configure.log"
    return 1
  }
}
sanitized() { # PRESET TEST...
  local preset=$1
  shift
  cmake --build --preset "$preset" -j "$jobs" --target "$@"
  ctest --preset "$preset" -j "$jobs" --timeout 600 --no-tests=error \
    -R "^($(IFS='|' && echo "$*"))\$"
}
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - start)); }

mkdir -p build
for step in $steps; do
  case $step in
  format)
    say "format"
    scripts/format.sh --check
    ;;
  layers)
    say "layers: which room includes which"
    scripts/check_layers.sh
    ;;
  release)
    say "release: build and all tests"
    configure release
    cmake --build --preset release -j "$jobs"
    scripts/check_docs.sh build/release/bin
    ctest --preset release -j "$jobs" --timeout 600
    ;;
  tsan)
    # Of the rooms without LibTorch and gRPC, those that have threads.
    say "tsan: the server's core and the oneDNN engine's contexts"
    configure tsan
    sanitized tsan server_core_test onednn_engine_test
    ;;
  asan)
    # What reads untrusted bytes or computes addresses. LibTorch's and gRPC's
    # headers would triple the time to build.
    say "asan: shards, ranges, plans, passes, reports, the oneDNN engine, the core"
    configure asan -DQUANTSERVE_WITH_TORCH=OFF -DQUANTSERVE_WITH_GRPC=OFF
    sanitized asan base_test tensor_test data_test ranges_test plan_test \
      reference_test passes_test report_test eval_test onednn_operators_test \
      onednn_kernels_test onednn_engine_test server_core_test
    ;;
  services)
    say "services: what speaks gRPC under AddressSanitizer"
    configure asan -DQUANTSERVE_WITH_TORCH=OFF -DQUANTSERVE_WITH_GRPC=ON
    sanitized asan artifacts_test cli_test server_rpc_test client_test \
      quantctl_test
    ;;
  fuzz)
    say "fuzz: what reads untrusted bytes, ${QUANTSERVE_FUZZ_SECONDS:-60} s each"
    configure fuzz
    cmake --build --preset fuzz -j "$jobs" --target fuzz_targets
    scripts/run_fuzz.sh
    ;;
  clang)
    say "clang: thread-safety analysis as errors"
    configure clang -DQUANTSERVE_WITH_TORCH=OFF -DBUILD_TESTING=OFF
    cmake --build --preset clang -j "$jobs" --target quantserve_server_core \
      quantserve_server_rpc quantserve_client quantserve_onednn
    ;;
  lint)
    say "lint: clang-tidy"
    scripts/run_lint.sh
    ;;
  *)
    echo "run_tests.sh: unknown step \"$step\"" >&2
    exit 2
    ;;
  esac
done
say "all checks passed: $steps"
