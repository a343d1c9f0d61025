#!/usr/bin/env bash
# Dependencies point one way. CMake's link lines prove most of it; this checks
# what link lines cannot see: which headers a room includes.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0

# forbid WHY PATTERN PATH...: no file under PATH includes what matches PATTERN.
forbid() {
  local why=$1 pattern=$2
  shift 2
  local hits
  hits=$(git grep -nE "^#include [<\"]($pattern)" -- "$@" || true)
  if [ -n "$hits" ]; then
    printf '%s:\n%s\n' "$why" "$hits" >&2
    bad=1
  fi
}

torch='torch/|ATen/|c10/'
grpc='grpc|google/protobuf|proto/'
forbid "LibTorch's headers outside quant/torch and quant/demo" "$torch" \
  server client proto quant/base quant/tensor quant/data quant/ranges \
  quant/plan quant/engine quant/report quant/eval quant/onednn quant/search \
  quant/pipeline quant/tools
forbid "gRPC, protobuf or Prometheus in quant" "$grpc|prometheus/" quant
forbid "gRPC or protobuf in the server's core" "$grpc" server/core
forbid "oneDNN's headers outside quant/onednn" 'dnnl|oneapi/' \
  server client proto quant ':!quant/onednn'
forbid "server or quant in the client" 'server/|quant/' client
forbid "server or client in quant" 'server/|client/' quant \
  ':!quant/tools' ':!quant/demo/make_demo_model.cc'
forbid "more of the client than command lines in the tools" \
  'server/|client/[^c]|client/client' quant/tools quant/demo
forbid "more of the client than command lines in the server" \
  'client/[^c]|client/client' server
forbid "anything but Abseil below command lines" \
  'server/|quant/|proto/|grpc|client/[^c]|client/client' client/cli
forbid "upper rungs in the lower ones of quant" \
  'quant/(torch|onednn|eval|search|pipeline|tools|demo)/' \
  quant/base quant/tensor quant/data quant/ranges quant/plan quant/engine \
  quant/report
forbid "the search below itself" 'quant/search/' \
  quant/torch quant/onednn quant/eval
forbid "oneDNN's engine in the search" 'quant/onednn/' quant/search
forbid "the pipeline below itself" 'quant/(pipeline|tools|demo)/' \
  quant/torch quant/onednn quant/eval quant/search
exit $bad
