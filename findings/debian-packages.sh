# Sourced by the findings that run Debian's packages: pinned versions, unpacked into a temporary folder.
# shellcheck shell=bash
set -euo pipefail
work=$(mktemp -d)
cleanup=()
finish() {
  for command in "${cleanup[@]}"; do eval "$command" || true; done
  rm -rf "$work"
}
trap finish EXIT

# unpack NAME=VERSION...: download and unpack, install nothing
unpack() {
  (cd "$work" && apt-get -qq download "$@")
  for file in "$work"/*.deb; do dpkg -x "$file" "$work/root"; done
  export PATH=$work/root/usr/bin:$work/root/usr/sbin:$work/root/bin:$work/root/sbin:$PATH
  for folder in "$work"/root/usr/lib/*-linux-gnu*; do
    if [ -d "$folder" ]; then export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
  done
}

# same WHAT EXPECTED SEEN: fail if what was seen is not what this finding states
same() {
  if [ "$2" != "$3" ]; then
    echo "$(basename "$0" .sh): CHANGED: $1 is '$3', and was '$2'"
    exit 1
  fi
}

# namespace NAME: a network namespace without anything in it, taken down at the end with what runs in it
namespace() {
  ip netns add "$1"
  cleanup+=("ip netns pids $1 | xargs -r kill" "ip netns delete $1")
}

# device NAME: a namespace with a WireGuard device of wireguard-go, taken down at the end
device() {
  namespace "$1"
  ip netns exec "$1" wireguard-go "$1" >/dev/null 2>&1
}
