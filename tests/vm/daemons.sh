#!/usr/bin/env bash
# Fetches the daemons of the guest with systemd, and unpacks them into a layer over this machine's files: installed here,
# they would take over its network and DNS. With them comes what they need and this machine does not have. Takes seconds,
# once per machine and version of its packages; called by run.sh.
#
#   daemons.sh DIRECTORY   (of fetch.sh)
#
# It leaves daemons/ (the layer) and daemons.for (the versions on this machine that it fits; written last). No script of
# a package runs: systemd-sysusers makes their users, in the guest.
set -euo pipefail
where=$1
daemons=(systemd-resolved network-manager dbus polkitd)

cannot() {
  echo "kernel: $*" >&2
  if [[ ${CI:-} == true ]]; then exit 1; fi
  echo "kernel: Tests with systemd's and other daemons will be skipped." >&2
  exit 0
}

installed=$(dpkg-query -W -f '${Package} ${Version} ${Status}\n' "${daemons[@]}" systemd libc6 2>/dev/null || true)
[[ ! -e $where/daemons.for || $(<"$where/daemons.for") != "$installed" ]] || exit 0
[[ $(id -u) == 0 ]] || cannot "Only root can fetch ${daemons[*]}."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/partial"
chown _apt "$work" "$work/partial" 2>/dev/null || true # the user that apt-get downloads as
echo "kernel: fetching ${daemons[*]} into $where" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --download-only --reinstall --no-install-recommends -o Dir::Cache::archives="$work" \
  "${daemons[@]}" >/dev/null || cannot "apt-get could not download ${daemons[*]}."

rm -rf "$where"/daemons{,.for}
mkdir "$where/daemons"
for package in "$work"/*.deb; do
  # /lib and its like are links to directories, which directories in a layer would hide
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$where/daemons" --exclude=./usr/share/{doc,man,locale} \
    --transform "s,^\./\(bin\|sbin\|lib\|lib64\)\(/\|\$\),./usr/\1\2,S"
done
[[ -e $where/daemons/usr/bin/resolvectl ]] || cannot "systemd-resolved has no resolvectl."
echo "$installed" >"$where/daemons.for"
