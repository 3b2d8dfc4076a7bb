#!/usr/bin/env bash
# `wg addconf` takes away the allowed IPs of a peer that its file names again: it replaces them, even by none.
#
# Guess: addconf, which "appends the contents" of the file to the configuration, adds the AllowedIPs of a [Peer] to those that
# the peer has, and leaves them alone if the section has only another keepalive.
# Seen with wireguard-tools 1.0.20210914 and wireguard-go 0.0.20220316 (Debian 12): each [Peer] section replaces the allowed
# IPs of its peer, and a section without AllowedIPs leaves the peer without any, so nothing goes to it any more. The endpoint
# and the keepalive that the section does not name stay, as do the other peers. So a file for addconf has to repeat the whole
# list, while `wg set IF peer KEY persistent-keepalive 20` leaves the list alone.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-tools=1.0.20210914-1+b1 wireguard-go=0.0.20220316-1+b4
name=kga$$
device "$name"
peer=$(wg genkey | wg pubkey)
section() { printf '[Peer]\nPublicKey = %s\n%s\n' "$peer" "$1" >"$work/file"; }
load() { ip netns exec "$name" wg "$1" "$name" "$work/file"; }
networks() { ip netns exec "$name" wg show "$name" allowed-ips | cut -f 2; }
keepalive() { ip netns exec "$name" wg show "$name" persistent-keepalive | cut -f 2; }
section $'AllowedIPs = 10.1.0.0/24\nPersistentKeepalive = 25'
load setconf
same 'the networks after setconf' 10.1.0.0/24 "$(networks)"
section 'AllowedIPs = 10.2.0.0/24'
load addconf
same 'the networks after addconf of another one' 10.2.0.0/24 "$(networks)"
same 'the keepalive after it' 25 "$(keepalive)"
ip netns exec "$name" wg set "$name" peer "$peer" persistent-keepalive 20
same 'the networks after wg set of a keepalive' 10.2.0.0/24 "$(networks)"
section 'PersistentKeepalive = 15'
load addconf
same 'the networks after addconf of a keepalive' '(none)' "$(networks)"
same 'the keepalive after it' 15 "$(keepalive)"
echo "$(basename "$0" .sh): as stated"
