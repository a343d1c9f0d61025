#!/usr/bin/env bash
# Builds the image and runs it, without docker and without a registry: the base
# comes from debootstrap, buildah builds and starts containers by chroot.
#
#   make test-image
#
# What it proves: the server runs as the image says (entrypoint, user, volumes,
# health check), predicts, quantizes, is scraped, stops on SIGTERM with 0, as
# process 1, on a read-only root without capabilities; and says in one line what
# is wrong with a volume. Exits 77, which ctest counts as skipped, and says so
# where buildah, debootstrap or root are missing.
#
#   IMAGE_TEST_DIR    where images and the base's packages are kept, so that the
#                     next run builds only what changed; default build/image
#   IMAGE_TEST_IMAGE  an image to test instead of building one
#   IMAGE_TEST_SUITE  the base's release; default trixie, bookworm works as well
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in buildah debootstrap; do
  command -v "$tool" >/dev/null && continue
  echo "image_test: skipped: no $tool here (apt install buildah debootstrap)"
  exit 77
done
if [ "$(id -u)" -ne 0 ]; then
  echo "image_test: skipped: needs root for chroot"
  exit 77
fi

dir=$(realpath -m "${IMAGE_TEST_DIR:-build/image}")
mkdir -p "$dir"
export BUILDAH_ISOLATION=chroot
buildah=(buildah --root "$dir/storage" --runroot "$dir/run" --storage-driver vfs)
suite=${IMAGE_TEST_SUITE:-trixie}
image=${IMAGE_TEST_IMAGE:-localhost/quantserve:$suite}
work=$(mktemp -d)
container=
source tests/docker/container.sh
trap clean_up EXIT
trap 'exit 130' INT TERM

say() { printf '== %s\n' "$*"; }
fail() {
  echo "image_test: FAILED: $*" >&2
  [ ! -s "$work/server.log" ] || tail -n 20 "$work/server.log" >&2
  exit 1
}
expect() { # WHAT WANTED GOT
  [ "$2" = "$3" ] || fail "$1 is \"$3\", want \"$2\""
}

if [ -z "${IMAGE_TEST_IMAGE:-}" ]; then
  base=localhost/quantserve-base:$suite
  if ! "${buildah[@]}" inspect --type image "$base" >/dev/null 2>&1; then
    say "the base: $suite, minimal"
    tests/docker/make_base.sh "$suite" "$dir/$suite.tar" "$base" "${buildah[@]}"
  fi
  say "the image"
  IMAGE_BUILDER=buildah IMAGE_OPTIONS="${buildah[*]:1}" \
    scripts/build_image.sh --base="$base" --tag="$image"
fi

say "what the image says of itself"
container=$("${buildah[@]}" from --pull-never "$image")
# buildah would mount volumes of its own over those of in_container.
"${buildah[@]}" config --volume /models- --volume /shards- \
  --volume /var/lib/quantserve- "$container"
root=$("${buildah[@]}" mount "$container")
about() { "${buildah[@]}" inspect --type image --format "$1" "$image"; }
readarray -t entrypoint < <(about '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}' | sed '/^$/d')
readarray -t health < <(about '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | sed '/^$/d')
user=$(about '{{.OCIv1.Config.User}}')
expect "the entrypoint's program" /usr/bin/quantserve "${entrypoint[0]}"
expect "the health check's kind" CMD "${health[0]}"
expect "the user" 10001:10001 "$user"
for label in title version revision source licenses; do
  value=$(about "{{index .OCIv1.Config.Labels \"org.opencontainers.image.$label\"}}")
  case $value in "" | "<no value>") fail "no label $label" ;; esac
done
for program in quantserve quantctl quantize_model evaluate_model make_demo_model; do
  [ -x "$root/usr/bin/$program" ] || fail "no $program on the path"
done
if find "$root/usr/bin" "$root/usr/lib" -name 'cc1plus' -o -name 'libasan*' \
  -o -name '*.a' | grep -q .; then
  fail "the image holds tools of the build"
fi

say "a model and its shards, made by the image's own program"
mkdir -p "$work"/{models,shards,state}
chown 10001:10001 "$work"/{models,shards,state}
in_container /usr/bin/make_demo_model --output_dir=/models --epochs=1 --train_samples=4000 \
  >"$work/demo.log" 2>&1 || { cat "$work/demo.log" >&2; fail "no demo model"; }
served=(--model=/models/model.pt --model_name=demo --labels=/models/labels.txt
  --calibration_shard=/models/calibration.bin --test_shard=/models/test.bin
  --mean=0.5 --std=0.25 --samples=256 --min_agreement=0 --max_accuracy_drop=1
  --port=0 --metrics_port=0 --port_file=/var/lib/quantserve/ports.json)

say "served, by buildah"
start in_container "${entrypoint[@]}" "${served[@]}"
await_ports
health=("${health[@]:1}" --server="127.0.0.1:$grpc")
in_container /usr/bin/quantctl wait --timeout=10m --server="127.0.0.1:$grpc" ||
  fail "the server does not become ready"
in_container "${health[@]}" || fail "the health check fails on a ready server"
expect "the server's user" "10001 10001" "$(owner_of "$server_pid")"
for variant in fp32 int8; do
  call predict --shard=/models/test.bin --index=3 --variant="$variant" \
    >"$work/reply" || fail "Predict on $variant"
  grep -q "$variant" "$work/reply" || fail "no $variant in: $(cat "$work/reply")"
done
call quantize --range_method=percentile >"$work/reply" || fail "Quantize"
scrape >"$work/metrics"
for metric in 'quantserve_quantization_runs_total{model="demo",result="published"} 2' \
  'quantserve_variant_generation{model="demo",variant="int8"} 2' \
  'quantserve_ready 1'; do
  grep -qF "$metric" "$work/metrics" || fail "no $metric in /metrics"
done
[ -n "$(find "$work/state/artifacts" -type f)" ] || fail "nothing in artifact_dir"
stop
expect "the exit code after SIGTERM" 0 "$status"
if in_container "${health[@]}" 2>/dev/null; then fail "the health check passes without a server"; fi

say "served as process 1, root read-only, no capabilities, no shell"
start as_runtime_would "${entrypoint[@]}" "${served[@]}"
await_ports
call wait --timeout=10m || fail "the server does not become ready"
expect "its number among processes" 1 "$(awk '/^NSpid/ { print $NF }' "/proc/$server_pid/status")"
expect "its capabilities" 0000000000000000 "$(awk '/^CapEff/ { print $2 }' "/proc/$server_pid/status")"
grep -qE '^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ / ro[ ,]' "/proc/$server_pid/mountinfo" ||
  fail "its root can be written to"
call predict --shard=/models/test.bin --index=3 >/dev/null || fail "Predict"
grep -q "loaded" "$work/server.log" || fail "the second start calibrated again"
stop
expect "the exit code of process 1 after SIGTERM" 0 "$status"

say "what is wrong with a volume, in one line"
refuses() { # WHAT EXPECTED ARGUMENT...
  local what=$1 expected=$2 code=0
  shift 2
  in_container timeout -s KILL 300 "${entrypoint[@]}" "$@" >"$work/out" 2>"$work/server.log" || code=$?
  case $code in 1 | 2) ;; *) fail "$what: exit code $code, want 1 or 2" ;; esac
  # Without the log's lines and buildah's own.
  grep -vE '^(20[0-9-]+ |Error: |subprocess |time=)' "$work/server.log" >"$work/said" || true
  expect "$what: lines said" 1 "$(wc -l <"$work/said")"
  grep -qF "$expected" "$work/said" || fail "$what: $(cat "$work/said"), want \"$expected\""
}
mv "$work/models" "$work/full"
mkdir "$work/models"
refuses "an empty volume" /models/ "${served[@]}"
rmdir "$work/models"
mv "$work/full" "$work/models"
chmod 000 "$work/models/model.pt"
refuses "an unreadable model" /models/model.pt "${served[@]}"
chmod 644 "$work/models/model.pt"
refuses "a file that is no model" /models/labels.txt "${served[@]}" --model=/models/labels.txt
refuses "no model at all" model
printf 'adress: "0.0.0.0"\n' >"$work/models/wrong.textproto"
refuses "a wrong configuration" adress --config=/models/wrong.textproto "${served[@]}"

say "artifacts that can't be kept"
chown 0:0 "$work/state"
chmod 755 "$work/state"
rm -rf "$work"/state/*
start in_container "${entrypoint[@]}" "${served[@]}" --port_file=/models/ports.json
await_ports "$work/models/ports.json"
call wait --timeout=10m || fail "the server does not become ready"
stop
expect "the exit code" 0 "$status"
grep -q "artifact could not be kept" "$work/server.log" || fail "nobody says that artifacts are not kept"

echo "image_test: passed: $image"
