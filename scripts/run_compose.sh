#!/usr/bin/env bash
# Starts docker/compose.yaml, waits until the server is ready, and says where to
# look. The image has been built.
set -euo pipefail
cd "$(dirname "$0")/.."

for compose in "docker compose" "podman compose" none; do
  $compose version >/dev/null 2>&1 && break
done
if [ "$compose" = none ]; then
  echo "run_compose.sh: neither docker compose nor podman compose here" >&2
  exit 1
fi
# Returns when the traffic has started, which waits for the server's health check.
$compose --file docker/compose.yaml up --detach
cat <<TEXT

  dashboard    http://127.0.0.1:3000/d/quantserve
  Prometheus   http://127.0.0.1:9090/alerts
  the server   127.0.0.1:8001 (gRPC), http://127.0.0.1:8002/metrics

  $compose -f docker/compose.yaml exec quantserve quantctl quantize
  $compose -f docker/compose.yaml down --volumes
TEXT
