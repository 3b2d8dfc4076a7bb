#!/usr/bin/env bash
# `iptables-nft -S` and `iptables-nft-save` list a rule that nft made for a set or a range of addresses without that condition,
# as a rule for all packets or for one address, and succeed.
#
# Guess: iptables refuses a rule that it cannot express, as it does for others ("table `filter' is incompatible, use 'nft'
# tool."), or leaves it out, so what it lists is true.
# Seen with iptables 1.8.9 and nftables 1.0.6 (Debian 12): "ip saddr @blocked drop" becomes "-A INPUT -j DROP", as if nothing
# came in, a set of interfaces vanishes likewise, and "ip daddr 10.0.0.1-10.0.0.9 drop" becomes "-d 10.0.0.9/32 -j DROP".
# A program that reads the rules of both kinds through iptables judges other rules than the kernel's, and a backup that is
# loaded again drops every packet.
. "$(dirname "$0")/debian-packages.sh"
unpack iptables=1.8.9-2 libxtables12=1.8.9-2 libip4tc2=1.8.9-2 libip6tc2=1.8.9-2 libnftnl11=1.2.4-2 \
  libnetfilter-conntrack3=1.0.9-3 libnfnetlink0=1.0.2-2 nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libjansson4=2.14-2
export XTABLES_LIBDIR="${LD_LIBRARY_PATH%%:*}/xtables"
name=kgi$$
namespace "$name"
inside() { ip netns exec "$name" "$@"; }
inside iptables-nft -A INPUT -p udp --dport 51820 -j ACCEPT
inside nft -f - <<'END'
add set ip filter blocked { type ipv4_addr; elements = { 10.0.0.66 }; }
add rule ip filter INPUT ip saddr @blocked drop
add rule ip filter INPUT iifname { "wg0", "wg1" } drop
add rule ip filter INPUT ip daddr 10.0.0.1-10.0.0.9 drop
END
expected='-A INPUT -p udp -m udp --dport 51820 -j ACCEPT|-A INPUT -j DROP|-A INPUT -j DROP|-A INPUT -d 10.0.0.9/32 -j DROP'
listed() { grep '^-A' | paste -sd '|'; }
inside iptables-nft -S INPUT >"$work/listed" 2>"$work/errors" && status=0 || status=$?
same 'the status of iptables -S' 0 "$status"
same 'the errors of iptables -S' '' "$(cat "$work/errors")"
same 'the rules of iptables -S' "$expected" "$(listed <"$work/listed")"
inside iptables-nft-save >"$work/backup" && status=0 || status=$?
same 'the status of iptables-save' 0 "$status"
same 'the rules of iptables-save' "$expected" "$(listed <"$work/backup")"
inside nft flush ruleset
inside iptables-nft-restore <"$work/backup"
chain=$(inside nft -s list chain ip filter INPUT | tr -d '\t' | grep -E '(accept|drop)$' | paste -sd '|')
same 'the rules of the kernel after the backup' \
  'udp dport 51820 counter accept|counter drop|counter drop|ip daddr 10.0.0.9 counter drop' "$chain"
echo "$(basename "$0" .sh): as stated"
