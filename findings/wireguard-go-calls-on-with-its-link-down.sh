#!/usr/bin/env bash
# wireguard-go goes on calling its peers when its link is set down; the kernel's WireGuard does not.
#
# Guess: `ip link set wg0 down` silences WireGuard. In the kernel it ends all sessions and closes the socket, and wireguard-go
# listens to the changes of its link.
# Seen with wireguard-go 0.0.20220316 (Debian 12): after the link is down, the UDP socket stays open, and a handshake goes to
# each peer with a persistent keepalive every five seconds. Behind a router these calls take the mapping of the port. To
# silence it, remove the peers.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-go=0.0.20220316-1+b4 wireguard-tools=1.0.20210914-1+b1
name=kgd$$
device "$name"
inside() { ip netns exec "$name" "$@"; }
inside ip link set lo up
inside ip link set "$name" up
(umask 077 && wg genkey >"$work/key")
peer=$(wg genkey | wg pubkey)
inside wg set "$name" private-key "$work/key" listen-port 51820 \
  peer "$peer" endpoint 127.0.0.1:9 allowed-ips 10.4.0.2/32 persistent-keepalive 2
inside ip link set "$name" down
sleep 1
before=$(inside wg show "$name" transfer | cut -f3)
sleep 12
after=$(inside wg show "$name" transfer | cut -f3)
same 'the link' DOWN "$(inside ip -json link show "$name" | grep -o '"operstate":"[A-Z]*"' | cut -d'"' -f4)"
same 'handshakes sent in twelve seconds with the link down, at least two' yes \
  "$([ $((after - before)) -ge 296 ] && echo yes || echo "no: $((after - before)) bytes")"
same 'open UDP sockets' 2 "$(inside ss -Hlun | grep -c ':51820 ')"
inside wg set "$name" peer "$peer" remove
sleep 6
same 'peers left' '' "$(inside wg show "$name" peers)"
echo "$(basename "$0" .sh): as stated"
