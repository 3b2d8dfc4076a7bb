#!/usr/bin/env bash
# WireGuard sends its own packets into its own tunnel, and the other end then answers to the address inside.
#
# Guess: a call to an endpoint that the routes lead into the tunnel goes nowhere ("avoiding routing loop", as the kernel's
# WireGuard logs), so nothing changes until the other end calls from outside, and then the tunnel works.
# Seen with wireguard-go 0.0.20220316 (Debian 12), and with the same commands on the kernel's WireGuard (Linux 6.1.192): the
# call waits in the tunnel. When the other end calls from outside, the tunnel comes up, and carries the waiting call; the other
# end takes its inner source for the caller's endpoint, and from then on sends into the tunnel too. So an endpoint must never
# lie in a network that is routed into the tunnel, as that of a gateway in its own LAN does.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-go=0.0.20220316-1+b4 wireguard-tools=1.0.20210914-1+b1
here=kgh$$ gateway=kgg$$
device "$here"
device "$gateway"
inside() { ip netns exec "$@"; }
ip link add uplink netns "$here" type veth peer name uplink netns "$gateway"
for one in "$here" "$gateway"; do
  (umask 077 && wg genkey >"$work/$one")
  inside "$one" ip link set lo up
done
inside "$here" ip address add 198.51.100.1/24 dev uplink
inside "$gateway" ip address add 198.51.100.2/24 dev uplink
inside "$gateway" ip address add 192.168.77.10/32 dev lo
inside "$here" ip address add 10.1.0.11/32 dev lo
for one in "$here" "$gateway"; do
  inside "$one" ip link set uplink up
  inside "$one" ip link set "$one" up
done
inside "$here" ip route add 192.168.77.0/24 dev "$here" src 10.1.0.11
inside "$gateway" ip route add 10.1.0.11 dev "$gateway"
inside "$here" wg set "$here" private-key "$work/$here" listen-port 51820 peer "$(wg pubkey <"$work/$gateway")" \
  endpoint 192.168.77.10:51820 allowed-ips 192.168.77.0/24
inside "$here" ping -c 1 -W 1 192.168.77.10 >/dev/null || true
inside "$gateway" wg set "$gateway" private-key "$work/$gateway" listen-port 51820 peer "$(wg pubkey <"$work/$here")" \
  endpoint 198.51.100.1:51820 allowed-ips 10.1.0.11/32 persistent-keepalive 1
seen=
for _ in $(seq 100); do
  seen=$(inside "$gateway" wg show "$gateway" endpoints | cut -f2)
  [ "$seen" = 10.1.0.11:51820 ] && break
  sleep 0.1
done
same 'the endpoint of the caller, at the gateway' 10.1.0.11:51820 "$seen"
echo "$(basename "$0" .sh): as stated"
