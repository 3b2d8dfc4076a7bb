#!/usr/bin/env bash
# `wg-quick save` writes "[Interface]" and a line break in place of each "&" of PostUp and its like: the file is broken.
#
# Guess: wg-quick writes the commands of the file as they are, so a file with SaveConfig, or one that `wg-quick save` wrote,
# brings the interface up again.
# Seen with wireguard-tools 1.0.20210914 and bash 5.2.15 (Debian 12): "PostUp = A && B" is saved as three lines,
# "PostUp = A [Interface]", "[Interface]" and " B", and `wg-quick up` fails at the third. wg-quick puts the commands into the
# output of `wg showconf` as a replacement, where bash since 5.2 takes "&" for the matched text; with the option
# patsub_replacement off, the line is saved as it was.
. "$(dirname "$0")/debian-packages.sh"
unpack wireguard-tools=1.0.20210914-1+b1 wireguard-go=0.0.20220316-1+b4 bash=5.2.15-2+b13
name=kgq$$
namespace "$name"
umask 077
mkdir "$work/etc"
file=$work/etc/$name.conf
first='ip rule add from 10.9.0.1 lookup 77' second='ip route add 10.8.0.0/16 dev %i table 77'
write() {
  printf '[Interface]\nPrivateKey = %s\nAddress = 10.9.0.1/24\n' "$(wg genkey)" >"$file"
  printf 'PostUp = %s\n' "$first && $second" >>"$file"
}
# quick -O|+O VERB: with bash's option on or off
quick() {
  local bash=$work/root/bin/bash script=$work/root/usr/bin/wg-quick
  ip netns exec "$name" "$bash" "$1" patsub_replacement "$script" "$2" "$file" >/dev/null 2>&1
}
commands() { sed -n '/^PostUp/,/^ListenPort/{/^ListenPort/!p}' "$file"; }
works() { quick -O up && echo yes || echo no; }
write
same 'the file comes up' yes "$(works)"
quick -O save
same 'the commands after save' "$(printf 'PostUp = %s [Interface]\n[Interface]\n %s' "$first" "$second")" "$(commands)"
quick -O down
same 'the saved file comes up' no "$(works)"
ip netns exec "$name" ip rule del from 10.9.0.1 lookup 77
write
same 'the file comes up' yes "$(works)"
quick +O save
same 'the commands after save, with the option off' "PostUp = $first && $second" "$(commands)"
quick -O down
echo "$(basename "$0" .sh): as stated"
