# Containers of image_test.sh: started, called and stopped. Sourced; it uses the
# caller's buildah, container, root and work.

# Runs a command in the container as the image's user; volumes are folders of
# $work. The network is this machine's: chroot isolates no more.
in_container() {
  "${buildah[@]}" run --isolation chroot --user 10001:10001 \
    --volume "$work/models:/models" --volume "$work/shards:/shards" \
    --volume "$work/state:/var/lib/quantserve" "$container" -- "$@"
}

# The same as a runtime of containers would do it: process 1 of its namespace, a
# root that cannot be written, no capabilities.
as_runtime_would() {
  unshare --mount --pid --fork --kill-child --propagation private bash -c '
    root=$1 work=$2
    shift 2
    mount --bind "$root" "$root"
    for volume in models shards; do
      mount --bind "$work/$volume" "$root/$volume"
    done
    mount --bind "$work/state" "$root/var/lib/quantserve"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -o remount,bind,ro "$root"
    exec setpriv --no-new-privs \
      chroot --userspec=10001:10001 --groups="" "$root" "$@"
  ' _ "$root" "$work" "$@"
}

# start COMMAND...: in the background, its log in $work/server.log.
start() {
  rm -f "$work"/{state,models}/ports.json
  "$@" >"$work/server.log" 2>&1 &
  runner=$!
}

# Sets grpc, metrics and server_pid once the server listens.
await_ports() {
  local file=${1:-$work/state/ports.json}
  for _ in $(seq 3000); do
    [ -s "$file" ] && break
    kill -0 "$runner" 2>/dev/null || fail "the server ended"
    sleep 0.1
  done
  [ -s "$file" ] || fail "the server does not listen"
  grpc=$(sed -n 's/.*"grpc":\([0-9]*\).*/\1/p' "$file")
  metrics=$(sed -n 's/.*"metrics":\([0-9]*\).*/\1/p' "$file")
  server_pid=$(server_of "$runner")
  [ -n "$server_pid" ] || fail "no process of the server"
}

# The server among the descendants of a process.
server_of() {
  local child
  for child in $(pgrep -P "$1"); do
    case $(readlink "/proc/$child/exe") in
    */quantserve_server) echo "$child"; return ;;
    esac
    server_of "$child"
  done
}

owner_of() { awk '/^Uid/ { uid = $2 } /^Gid/ { gid = $2 } END { print uid, gid }' "/proc/$1/status"; }

# The image's own quantctl, from beside the server.
call() {
  local command=$1
  shift
  in_container /usr/bin/quantctl "$command" --server="127.0.0.1:$grpc" "$@"
}

# By the shell's own connection: curl may not be installed.
scrape() {
  exec 3<>"/dev/tcp/127.0.0.1/$metrics"
  printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
  cat <&3
  exec 3>&-
}

# SIGTERM to the server; sets status to what it ended with.
stop() {
  kill -TERM "$server_pid"
  status=0
  wait "$runner" || status=$?
  runner=
}

clean_up() {
  if [ -n "${runner:-}" ]; then
    kill -KILL "$(server_of "$runner")" 2>/dev/null || true
    wait "$runner" 2>/dev/null || true
  fi
  if [ -n "$container" ]; then
    "${buildah[@]}" umount "$container" >/dev/null 2>&1 || true
    "${buildah[@]}" rm "$container" >/dev/null 2>&1 || true
  fi
  rm -rf "$work"
}
