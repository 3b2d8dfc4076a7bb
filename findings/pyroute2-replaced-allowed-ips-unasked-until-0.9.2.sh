#!/usr/bin/env bash
# WireGuard.set() of pyroute2 0.9.2 asks the kernel to replace a peer's allowed IPs whatever is to be set; 0.9.3 never does
# unless it is told.
#
# Guess: a release that changes only the last part of the version keeps what a call does; and set() with a keepalive, without
# allowed IPs, leaves the allowed IPs alone.
# Seen with pyroute2 0.9.2 and 0.9.3: the flags of a peer in the message of 0.9.2 are always 2, which is
# WGPEER_F_REPLACE_ALLOWEDIPS in the kernel's wireguard.h, where its authors meant WGPEER_F_UPDATE_ONLY (4). So a new keepalive
# or endpoint takes the peer's allowed IPs away, and of a list that is sent in several calls the last part is left;
# "update_only" has no effect, and a peer that is gone is made anew. 0.9.3 sends 0, 4 with "update_only", and 2 only with
# "replace_allowed_ips", so that there the same call adds to the list. A program that supports both has to tell them apart, or
# to require 0.9.3.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
cat >"$work/probe.py" <<'END'
from pyroute2.netlink.generic import wireguard

maker = getattr(wireguard, "AsyncWireGuard", wireguard.WireGuard)


def flags(**settings):
    """The flags of the peer in the message that set() sends, read from its bytes."""
    message = wireguard.wgmsg()
    maker._wg_set_peer(object.__new__(maker), message, {"public_key": "A" * 43 + "=", **settings})
    message.encode()
    sent = wireguard.wgmsg(message.data)
    sent.decode()
    return sent.get_attr("WGDEVICE_A_PEERS")[0].get_attr("WGPEER_A_FLAGS")


networks = ["10.4.0.0/16"]
print(
    flags(persistent_keepalive=25),
    flags(allowed_ips=networks),
    flags(allowed_ips=networks, replace_allowed_ips=True),
    flags(persistent_keepalive=25, update_only=True),
)
END
seen=
for version in 0.9.2 0.9.3; do
  "$work/venv/bin/pip" install -qq --disable-pip-version-check --no-deps --target "$work/$version" "pyroute2==$version"
  seen+="$version: $(PYTHONPATH=$work/$version "$work/venv/bin/python" "$work/probe.py"); "
done
expected='0.9.2: 2 2 2 2; 0.9.3: 0 0 2 4; '
if [ "$seen" != "$expected" ]; then
  echo "$(basename "$0" .sh): CHANGED: '$seen', and was '$expected'"
  exit 1
fi
echo "$(basename "$0" .sh): as stated"
