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

configure() { # PRESET
  cmake --preset "$1" "${launcher[@]}" >"build/$1.configure.log" 2>&1 || {
    cat "build/$1.configure.log"
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
    ctest --preset release -j "$jobs" --timeout 600
    ;;
  tsan | asan)
    say "$step: build and the tests of the rooms it covers"
    configure "$step"
    cmake --build --preset "$step" -j "$jobs"
    # The end-to-end tests measure and wait; the sanitizers get the rooms.
    ctest --preset "$step" -j "$jobs" --timeout 600 -LE 'e2e|slow'
    ;;
  clang)
    say "clang: thread-safety analysis as errors"
    configure clang
    cmake --build --preset clang -j "$jobs" --target quantserve_rooms
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
