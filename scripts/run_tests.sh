#!/usr/bin/env bash
# Every check of the project, from a fresh clone: format, layers, lint, the
# clang preset (thread-safety analysis), unit, integration and end-to-end tests,
# and the sanitizer presets. QUANTSERVE_TEST_STEPS names some of them only.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=${QUANTSERVE_TEST_STEPS:-format layers release tsan asan clang lint}
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
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - start)); }

mkdir -p build
for step in $steps; do
  case $step in
  format)
    say "format"
    git ls-files '*.h' '*.cc' | xargs clang-format --dry-run -Werror
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
    say "tsan: the rooms without LibTorch and gRPC"
    configure tsan
    cmake --build --preset tsan -j "$jobs"
    ctest --preset tsan -j "$jobs" --timeout 600 -LE 'e2e|slow'
    ;;
  asan)
    # LibTorch's headers cost ten seconds a file; what reads untrusted bytes
    # and computes addresses is in the other rooms.
    say "asan: the rooms without LibTorch"
    configure asan -DQUANTSERVE_WITH_TORCH=OFF
    cmake --build --preset asan -j "$jobs"
    ctest --preset asan -j "$jobs" --timeout 600 -LE 'e2e|slow'
    ;;
  clang)
    say "clang: thread-safety analysis as errors"
    configure clang -DQUANTSERVE_WITH_TORCH=OFF -DBUILD_TESTING=OFF
    cmake --build --preset clang -j "$jobs"
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
