#!/usr/bin/env bash
# Lays out what the runtime image adds to its base, from installed programs.
#
#   docker/stage_runtime.sh STAGE BASE_PACKAGES
#
# STAGE/usr holds the programs, installed and stripped; BASE_PACKAGES names the
# base image's packages, one a line. Afterwards
#   STAGE/root     the programs, every shared library that they load and the base
#                  lacks, the licences of those, and the package of each in the
#                  form that scanners for vulnerabilities read (status.d)
#   STAGE/volumes  the folders that belong to the server's user
# Copied instead of installed: the packages' own dependencies (compilers of
# kernels, MPI's daemons, Python) would double the image.
set -euo pipefail
if [ $# -ne 2 ] || [ ! -d "$1/usr/bin" ] || [ ! -f "$2" ]; then
  echo "usage: docker/stage_runtime.sh STAGE BASE_PACKAGES" >&2
  exit 2
fi
stage=$1
base_packages=$2
root=$stage/root
mkdir -p "$root" "$stage"/volumes/{models,shards,var/lib/quantserve}
mv "$stage/usr" "$root/usr"

needed=$(ldd "$root"/usr/bin/*)
if missing=$(grep "not found" <<<"$needed"); then
  printf 'stage_runtime.sh: libraries that are not there:\n%s\n' "$missing" >&2
  exit 1
fi

owner() { # FILE: the package that brought it, to /lib maybe, which is /usr/lib
  { dpkg-query -S "$1" || dpkg-query -S "${1#/usr}"; } 2>/dev/null |
    head -n 1 | cut -d: -f1 || true
}

libraries=$root/usr/lib/$(gcc -print-multiarch)
mkdir -p "$libraries" "$root/var/lib/dpkg/status.d"
copied=0
# "libname.so.1 => /path/libname.so.1 (0x…)", once for each program.
while read -r name path; do
  file=$(realpath "$path")  # through Debian's alternatives, as for BLAS
  package=$(owner "$file")
  if [ -z "$package" ]; then
    echo "stage_runtime.sh: no package owns $file" >&2
    exit 1
  fi
  if grep -qx "$package" "$base_packages"; then continue; fi
  cp "$file" "$libraries/$name"
  copied=$((copied + 1))
  if [ ! -e "$root/var/lib/dpkg/status.d/$package" ]; then
    dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
    install -D -m 644 "/usr/share/doc/$package/copyright" \
      "$root/usr/share/doc/$package/copyright"
  fi
done < <(awk '$2 == "=>" { print $1, $3 }' <<<"$needed" | sort -u)

install -D -m 644 LICENSE "$root/usr/share/doc/quantserve/copyright"
echo "stage_runtime.sh: $copied libraries of $(find "$root/var/lib/dpkg/status.d" -type f | wc -l)" \
  "packages, $(du -sh "$root" | cut -f1) in all"
