#!/usr/bin/env bash
# Makes the image's base without a registry: Debian, minimal, as debootstrap
# unpacks it from the mirror that this machine's apt is configured with.
#
#   tests/docker/make_base.sh SUITE CACHE IMAGE BUILDAH...
#
# SUITE is trixie or bookworm; CACHE keeps the downloaded packages, a tar file;
# BUILDAH is the command with its options. Needs root.
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: tests/docker/make_base.sh SUITE CACHE IMAGE BUILDAH..." >&2
  exit 2
fi
suite=$1
cache=$(realpath -m "$2")
image=$3
shift 3

archive() { # LABEL: where apt gets it from here
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
    'Origin: Debian' "Label: $1" | head -n 1
}
mirror=$(archive Debian)
security=$(archive Debian-Security)
[ -n "$mirror" ] || { echo "make_base.sh: apt knows no mirror of Debian" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() {
  "$@" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; return 1; }
}
if [ ! -s "$cache" ]; then
  mkdir -p "$(dirname "$cache")"
  quietly debootstrap --variant=minbase --make-tarball="$cache.part" \
    "$suite" "$work/download" "$mirror"
  mv "$cache.part" "$cache"
fi
root=$work/root
quietly debootstrap --variant=minbase --unpack-tarball="$cache" \
  "$suite" "$root" "$mirror"
{
  echo "deb $mirror $suite main"
  echo "deb $mirror $suite-updates main"
  [ -z "$security" ] || echo "deb $security $suite-security main"
} >"$root/etc/apt/sources.list"
# What the distribution's own "slim" images leave out, copyright files stay.
cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<'CONFIG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
CONFIG
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/{locale,man}/* "$root"/var/cache/apt/*.bin \
  "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

tar -C "$root" -cf "$work/root.tar" .
container=$("$@" from scratch)
quietly "$@" add "$container" "$work/root.tar" /
quietly "$@" config --cmd /bin/bash "$container"
quietly "$@" commit --rm "$container" "$image"
