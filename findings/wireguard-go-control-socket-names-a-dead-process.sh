#!/usr/bin/env bash
# The control socket of wireguard-go names, as its peer, a process that has ended: not the one that serves it.
#
# Guess: SO_PEERCRED of a connection to /var/run/wireguard/IF.sock (unix(7)) has the id of the wireguard-go that answers, so
# that is the process to signal when it hangs.
# Seen with wireguard-go 0.0.20220316 (Debian 12) on Linux: the credentials are those of the process that called listen(2).
# wireguard-go opens the socket, hands it to a copy of itself that goes into the background, and ends. So the id is that of
# the process in the foreground, which is gone, and may be another program's by now; the kernel's list of sockets
# (/proc/net/unix, and the descriptors in /proc) leads to the one that serves it.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-go=0.0.20220316-1+b4
name=kgp$$
device "$name"
peer=$(python3 - "/var/run/wireguard/$name.sock" <<'PYTHON'
import socket, struct, sys
with socket.socket(socket.AF_UNIX) as wire:
    wire.connect(sys.argv[1])
    print(struct.unpack("3i", wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
PYTHON
)
serving=$(ip netns pids "$name")
same 'processes that serve the device' 1 "$(wc -w <<<"$serving")"
same 'the peer is the one that serves' no "$([ "$peer" = "$serving" ] && echo yes || echo no)"
same 'the peer still runs' no "$([ -e "/proc/$peer" ] && echo yes || echo no)"
same 'the one that serves is wireguard-go' wireguard-go "$(cat "/proc/$serving/comm")"
echo "$(basename "$0" .sh): as stated"
