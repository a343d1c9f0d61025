#!/usr/bin/env bash
# Installs what QuantServe needs to build, run and test, with apt (Debian 12 or
# newer). Does nothing, and needs no root, when all of it is there.
#
#   scripts/install_deps.sh            build, run and test
#   scripts/install_deps.sh --build    build and run; the image's first stage
#   scripts/install_deps.sh --list     print the packages and exit
set -euo pipefail

# One package a line, and what it is for.
to_build=(
  # Build
  g++ cmake ninja-build pkg-config ccache
  # The stack
  libtorch-dev libdnnl-dev libabsl-dev
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler
  prometheus-cpp-dev
  # Used by one room each: JSON, logs, zip archives, SHA-256, image files
  nlohmann-json3-dev libspdlog-dev libzip-dev libssl-dev libstb-dev
  # Image folders, decoded by the libraries that PIL uses
  libturbojpeg0-dev libpng-dev
  # LibTorch's matrix products: Debian's default BLAS is the reference
  # implementation, which would make the FP32 baseline a strawman.
  libopenblas0-openmp
)
to_test=(
  # Tests: frameworks, the foreign client, PyTorch as an oracle, Prometheus and
  # the YAML that it is configured with, a real browser for the report
  libgtest-dev libgmock-dev libbenchmark-dev
  python3 python3-grpcio python3-protobuf python3-numpy python3-torch
  python3-torchvision python3-pil python3-yaml openssl
  prometheus procps chromium
  # Renders Kubernetes' manifests
  kubernetes-client
  # Format, lint, the clang preset and fuzzing
  clang clang-format clang-tidy libclang-rt-dev
)

packages=("${to_build[@]}" "${to_test[@]}")
case ${1:-} in
"") ;;
--build) packages=("${to_build[@]}") ;;
--list)
  printf '%s\n' "${packages[@]}"
  exit 0
  ;;
*)
  echo "install_deps.sh: unknown argument \"$1\", want --build, --list or nothing" >&2
  exit 2
  ;;
esac
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install_deps.sh: this system has no apt; install the equivalents of:" >&2
  printf '  %s\n' "${packages[@]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  # Kubernetes' own package of kubectl can't be installed beside Debian's.
  if [ "$package" = kubernetes-client ] && command -v kubectl >/dev/null; then
    continue
  fi
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "dependencies: all ${#packages[@]} packages are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_deps.sh: needs root or sudo to install: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "dependencies: installing ${#missing[@]} packages: ${missing[*]}"
"${as_root[@]}" apt-get update -q
# Services that packages bring (prometheus) are not to start on a developer's
# machine just because its tests use the binary.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -y -q --no-install-recommends "${missing[@]}"
echo "dependencies: done"
