#!/usr/bin/env bash
# wireguard-go that is told to listen at a port which another program has refuses it, and stops listening at its own.
#
# Guess: `wg set IF listen-port PORT` that fails leaves the device as it was.
# Seen with wireguard-tools 1.0.20210914 and wireguard-go 0.0.20220316 (Debian 12): wg says "Address already in use" and exits
# with 1. From then on the port of the device is 0, it has no socket at all, and `ip link` shows it up as before; setting it
# down and up again does not open one. Only a listen-port that is free does. So whoever changes the port has to set the old
# one again if that fails.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-tools=1.0.20210914-1+b1 wireguard-go=0.0.20220316-1+b4
name=kgo$$
device "$name"
inside() { ip netns exec "$name" "$@"; }
inside wireguard-go "${name}b" >/dev/null 2>&1
umask 077
wg genkey >"$work/key"
for one in "$name" "${name}b"; do
  inside wg set "$one" private-key "$work/key"
  inside ip link set "$one" up
done
sockets() { inside ss -Huln "sport = :$1" | wc -l; }
port() { inside wg show "${name}b" listen-port; }
inside wg set "$name" listen-port 51999
inside wg set "${name}b" listen-port 51998
same 'the port before' 51998 "$(port)"
same 'the sockets before (IPv4, IPv6)' 2 "$(sockets 51998)"
said=$(inside wg set "${name}b" listen-port 51999 2>&1) && status=0 || status=$?
same 'the status of wg set' 1 "$status"
same 'what wg set says' 'Unable to modify interface: Address already in use' "$said"
same 'the port after' 0 "$(port)"
same 'the sockets at the old port' 0 "$(sockets 51998)"
same 'the device is up' yes "$(inside ip -br link show "${name}b" | grep -q '[<,]UP[,>]' && echo yes || echo no)"
inside ip link set "${name}b" down
inside ip link set "${name}b" up
same 'the port after down and up' 0 "$(port)"
same 'the sockets of the namespace' 2 "$(inside ss -Huln | wc -l)"
inside wg set "${name}b" listen-port 51998
same 'the sockets with the old port set again' 2 "$(sockets 51998)"
echo "$(basename "$0" .sh): as stated"
