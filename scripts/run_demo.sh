#!/usr/bin/env bash
# Shows the whole of QuantServe on a model that it makes itself.
#
#   scripts/run_demo.sh BIN           serve, predict, quantize, measure, stop
#   scripts/run_demo.sh BIN --serve   serve, and stay
#
# BIN is the build's folder of programs, e.g. build/release/bin. The model and
# its images are made once, in build/demo.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { echo "usage: scripts/run_demo.sh BIN [--serve]" >&2; exit 2; }
[ $# -ge 1 ] && [ $# -le 2 ] || usage
bin=$1
serve=${2:-}
[ -z "$serve" ] || [ "$serve" = --serve ] || usage
for program in make_demo_model quantserve_server quantctl; do
  [ -x "$bin/$program" ] || {
    echo "run_demo.sh: no program $bin/$program; build first: make build" >&2
    exit 1
  }
done

dir=build/demo
say() { printf '\n== %s\n' "$*"; }

say "a small network, trained on images drawn for it"
"$bin/make_demo_model" --output_dir "$dir"

server=("$bin/quantserve_server" --model="$dir/model.pt" --model_name=demo
  --calibration_shard="$dir/calibration.bin" --test_shard="$dir/test.bin"
  --labels="$dir/labels.txt" --mean=0.5 --std=0.25)

if [ -n "$serve" ]; then
  cat <<TEXT

== the server, until Ctrl-C; in another terminal:
  $bin/quantctl status
  $bin/quantctl predict --shard=$dir/test.bin --index=3
  $bin/quantctl quantize --range_method=percentile
  $bin/quantctl compare
  curl http://127.0.0.1:8002/metrics

TEXT
  exec "${server[@]}"
fi

log=$dir/server.log
ports=$dir/ports.json
rm -f "$ports" "$log"
pids=()
stop_all() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap stop_all EXIT
trap 'exit 130' INT TERM

say "the server quantizes the model as it starts"
"${server[@]}" --port=0 --metrics_port=0 --port_file="$ports" 2>"$log" &
server_pid=$!
pids+=("$server_pid")
tail -n +1 -f "$log" --pid="$server_pid" 2>/dev/null &
tail_pid=$!
pids+=("$tail_pid")
for _ in $(seq 600); do
  [ -s "$ports" ] && break
  kill -0 "$server_pid" 2>/dev/null || { sleep 0.2; exit 1; }
  sleep 0.1
done
[ -s "$ports" ] || { echo "run_demo.sh: the server does not listen" >&2; exit 1; }
grpc=$(sed -n 's/.*"grpc":\([0-9]*\).*/\1/p' "$ports")
metrics=$(sed -n 's/.*"metrics":\([0-9]*\).*/\1/p' "$ports")
ctl() { local command=$1; shift; "$bin/quantctl" "$command" --server="127.0.0.1:$grpc" "$@"; }
ctl wait --timeout=10m
sleep 0.3 # the log's last line
kill "$tail_pid" 2>/dev/null || true
wait "$tail_pid" 2>/dev/null || true

say "the same image on both variants"
for variant in fp32 int8; do
  ctl predict --shard="$dir/test.bin" --index=3 --variant="$variant" --top_k=3
done

say "quantized anew while 4 clients predict"
ctl bench --clients=4 --requests=20000 >"$dir/bench.txt" &
bench_pid=$!
pids+=("$bench_pid")
ctl quantize
wait "$bench_pid"
cat "$dir/bench.txt"

say "what Prometheus reads"
# The shell's own connection: curl may not be installed.
exec 3<>"/dev/tcp/127.0.0.1/$metrics"
printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
cat <&3 >"$dir/metrics.txt"
exec 3>&-
grep -E '^quantserve_(variant_(accuracy|agreement|generation|size|evaluation)|requests_total|compute_duration_seconds_(sum|count)|quantization_runs_total.*published|engine_info)' \
  "$dir/metrics.txt"

say "both variants, one client"
ctl compare --requests=4000 --shard="$dir/test.bin" --index=3

kill -TERM "$server_pid"
status=0
wait "$server_pid" || status=$?
pids=()
[ "$status" = 0 ] || { echo "run_demo.sh: the server ended with $status" >&2; exit 1; }
say "stopped; \"make serve\" leaves it running"
