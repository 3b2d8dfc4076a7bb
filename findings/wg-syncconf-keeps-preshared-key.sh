#!/usr/bin/env bash
# `wg syncconf` leaves a preshared key on the device that is gone from the file.
#
# Guess: after `wg syncconf IF FILE` the device is as FILE says, since the manual calls it "like setconf, but reads back the
# existing configuration first and only makes changes that are explicitly different".
# Seen with wireguard-tools 1.0.20210914 and wireguard-go 0.0.20220316 (Debian 12): a [Peer] that had PresharedKey and has
# none in the new file keeps the old one, so the handshake with the other side, which has none any more, fails.
# `wg setconf` takes it away, and so does a PresharedKey of 32 zero bytes in the file.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-tools=1.0.20210914-1+b1 wireguard-go=0.0.20220316-1+b4
name=kgf$$
device "$name"
key=$(wg genkey) peer=$(wg genkey | wg pubkey) psk=$(wg genpsk)
section() { printf '[Interface]\nPrivateKey = %s\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.9.0.2/32\n%s' "$key" "$peer" "$1"; }
umask 077
section "PresharedKey = $psk" >"$work/with"
section '' >"$work/without"
section "PresharedKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" >"$work/zeros"
has() { ip netns exec "$name" wg show "$name" preshared-keys | grep -q "(none)" && echo no || echo yes; }
load() { ip netns exec "$name" wg "$1" "$name" "$work/$2"; }
load setconf with
same 'a preshared key after setconf with one' yes "$(has)"
load syncconf without
same 'a preshared key after syncconf without one' yes "$(has)"
load syncconf zeros
same 'a preshared key after syncconf with zeros' no "$(has)"
load setconf with
load setconf without
same 'a preshared key after setconf without one' no "$(has)"
echo "$(basename "$0" .sh): as stated"
