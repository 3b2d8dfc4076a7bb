#!/usr/bin/env bash
# `wg syncconf` clears a firewall mark that the file does not name, while it leaves other settings that it does not name.
#
# Guess: what a file does not mention stays, as the listening port does; so the mark that wg-quick sets on a tunnel for all
# traffic survives `wg syncconf IF <(wg-quick strip IF)`, which the manual of wg-quick advises.
# Seen with wireguard-tools 1.0.20210914 and wireguard-go 0.0.20220316 (Debian 12): the port stays, the mark becomes "off".
# wg-quick finds its policy rules by the mark, so `wg-quick down` leaves them. `FwMark = ...` in the file keeps it.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-tools=1.0.20210914-1+b1 wireguard-go=0.0.20220316-1+b4
name=kgf$$
device "$name"
umask 077
printf '[Interface]\nPrivateKey = %s\n' "$(wg genkey)" >"$work/file"
inside() { ip netns exec "$name" wg "$@"; }
inside setconf "$name" "$work/file"
inside set "$name" listen-port 51999 fwmark 0xca6c
inside syncconf "$name" "$work/file"
same 'the listening port' 51999 "$(inside show "$name" listen-port)"
same 'the mark' off "$(inside show "$name" fwmark)"
echo 'FwMark = 0xca6c' >>"$work/file"
inside syncconf "$name" "$work/file"
same 'the mark with FwMark in the file' 0xca6c "$(inside show "$name" fwmark)"
echo "$(basename "$0" .sh): as stated"
