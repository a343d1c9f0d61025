#!/usr/bin/env bash
# Builds the container image with docker, podman or buildah, whichever is there,
# and prints its size.
#
#   scripts/build_image.sh [--target=STAGE] [--tag=NAME] [--base=IMAGE]
#
# STAGE is one of docker/Dockerfile; "test" runs the release tests inside. More
# arguments for the builder come from IMAGE_FLAGS (of "build") and IMAGE_OPTIONS
# (before it).
set -euo pipefail
cd "$(dirname "$0")/.."

target=runtime
tag=quantserve:latest
base=debian:trixie-slim
for argument in "$@"; do
  case $argument in
  --target=?*) target=${argument#*=} ;;
  --tag=?*) tag=${argument#*=} ;;
  --base=?*) base=${argument#*=} ;;
  *)
    echo "build_image.sh: unknown argument \"$argument\"," \
      "want --target=STAGE, --tag=NAME or --base=IMAGE" >&2
    exit 2
    ;;
  esac
done

for builder in ${IMAGE_BUILDER:-docker podman buildah} none; do
  command -v "$builder" >/dev/null && break
done
version=$(sed -n 's/^project(quantserve VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
arguments=(--file docker/Dockerfile --target "$target" --tag "$tag"
  --build-arg "BASE_IMAGE=$base" --build-arg "VERSION=$version")
# A tree without git, or without commits, has no revision to name.
if revision=$(git rev-parse --verify --quiet HEAD 2>/dev/null); then
  [ -z "$(git status --porcelain)" ] || revision+=-dirty
  arguments+=(--build-arg "REVISION=$revision")
fi
source=$(git config --get remote.origin.url 2>/dev/null || true)
case $source in
https://*@*) ;; # with somebody's credentials in it, maybe
https://*) arguments+=(--build-arg "SOURCE=$source") ;;
esac
read -r -a more <<<"${IMAGE_FLAGS:-}"
read -r -a options <<<"${IMAGE_OPTIONS:-}"

# Health checks are docker's own: OCI's format of images has none.
case $builder in
docker)
  DOCKER_BUILDKIT=1 docker "${options[@]}" build "${arguments[@]}" "${more[@]}" .
  size=$(docker "${options[@]}" image inspect --format '{{.Size}}' "$tag")
  ;;
podman)
  podman "${options[@]}" build --format docker --layers "${arguments[@]}" "${more[@]}" .
  size=$(podman "${options[@]}" image inspect --format '{{.Size}}' "$tag")
  ;;
buildah)
  buildah "${options[@]}" bud --format docker --layers "${arguments[@]}" "${more[@]}" .
  size=$(buildah "${options[@]}" images --json "$tag" | sed -n 's/.*"size": "\(.*\)".*/\1/p')
  ;;
none)
  echo "build_image.sh: no docker, podman or buildah here" >&2
  exit 1
  ;;
esac
case $size in
*[!0-9]*) ;;
*) size="$((size / 1000000)) MB" ;;
esac
echo "image: $tag ($target), $size"
