# Which clang-format and clang-tidy decide: Debian 12's. Versions disagree about
# the breaking of lines, and each brings checks of its own, so no source satisfies
# all of them. Sourced.
#
#   clang_tool NAME    prints the command of that version; without one, the reason
#                      on stderr and 1
clang_tool() {
  local name=$1 wanted=14 found=none candidate version
  for candidate in "$name-$wanted" "$name"; do
    version=$("$candidate" --version 2>/dev/null |
      sed -n 's/.*version \([0-9]*\)\..*/\1/p') || true
    if [ "$version" = "$wanted" ]; then
      echo "$candidate"
      return
    fi
    [ -z "$version" ] || found=$version
  done
  echo "$name $wanted decides, here is $found" >&2
  return 1
}
