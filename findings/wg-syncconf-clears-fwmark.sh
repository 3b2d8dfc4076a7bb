#!/usr/bin/env bash
# `wg syncconf` resets what the [Interface] of the file does not name: the firewall mark goes, the port becomes another one.
#
# Guess: syncconf "only makes changes that are explicitly different", so a port and a mark that the file does not mention
# stay; and `wg syncconf IF <(wg-quick strip IF)`, which the manual of wg-quick advises, leaves a tunnel for all traffic as
# it is.
# Seen with wireguard-tools 1.0.20210914 and wireguard-go 0.0.20220316 (Debian 12): the mark becomes "off", and the port
# 51999 another, random one. wg-quick finds its policy rules by the mark. With `FwMark` and `ListenPort` in the file both
# stay.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-tools=1.0.20210914-1+b1 wireguard-go=0.0.20220316-1+b4
name=kgf$$
device "$name"
umask 077
printf '[Interface]\nPrivateKey = %s\n' "$(wg genkey)" >"$work/file"
inside() { ip netns exec "$name" wg "$@"; }
is() { [ "$(inside show "$name" "$1")" = "$2" ] && echo yes || echo no; }
inside setconf "$name" "$work/file"
inside set "$name" listen-port 51999 fwmark 0xca6c
same 'the mark is set' yes "$(is fwmark 0xca6c)"
inside syncconf "$name" "$work/file"
same 'the mark is off after syncconf' yes "$(is fwmark off)"
same 'the port is kept by syncconf' no "$(is listen-port 51999)"
printf 'FwMark = 0xca6c\nListenPort = 51999\n' >>"$work/file"
inside syncconf "$name" "$work/file"
same 'the mark with FwMark in the file' yes "$(is fwmark 0xca6c)"
same 'the port with ListenPort in the file' yes "$(is listen-port 51999)"
echo "$(basename "$0" .sh): as stated"
