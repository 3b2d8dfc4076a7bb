#!/usr/bin/env bash
# `nft -j list ruleset` leaves out auto-merge, the flag "dynamic" and comments: loaded again, the rules are not the same.
#
# Guess: the JSON holds what the text of `nft list ruleset` holds, so a program may read the rules, change one and load the
# result.
# Seen with nftables 1.0.6 (Debian 12): the JSON lacks "auto-merge" of a set, "dynamic" of its flags, and the comments of
# tables and chains; it has the comment of a set, and reading drops it. The set of networks still works until somebody adds
# one that overlaps, which auto-merge took: "interval overlaps with an existing one". Comments of rules and elements stay.
# The text, read with `nft -f`, loses nothing.
. "$(dirname "$0")/debian-packages.sh"
unpack nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 libjansson4=2.14-2
name=kgj$$
namespace "$name"
inside() { ip netns exec "$name" nft "$@"; }
cat >"$work/rules" <<'END'
table inet kilo {
	comment "of the table"
	set networks {
		type ipv4_addr
		flags interval
		auto-merge
		comment "of the set"
		elements = { 10.4.0.0/16 comment "of the element" }
	}

	set seen {
		type ipv4_addr
		size 100
		flags dynamic,timeout
		timeout 1h
	}

	chain forward {
		comment "of the chain"
		type filter hook forward priority filter; policy accept;
		ip saddr @networks accept comment "of the rule"
	}
}
END
inside -f "$work/rules"
same 'the text, as it was loaded' "$(cat "$work/rules")" "$(inside list ruleset)"
inside -j list ruleset >"$work/json"
inside list ruleset >"$work/text"
inside flush ruleset
inside -f "$work/text"
same 'the rules after the text' "$(cat "$work/rules")" "$(inside list ruleset)"
inside add element inet kilo networks '{ 10.4.5.0/24 }'
inside flush ruleset
inside -j -f "$work/json"
lost=$(diff "$work/rules" <(inside list ruleset) | grep '^[<>]' | tr -d '\t' | paste -sd '|' || true)
same 'the lines that differ after the JSON' \
  '< comment "of the table"|< auto-merge|< comment "of the set"|< flags dynamic,timeout|< comment "of the chain"' \
  "$lost"
said=$(inside add element inet kilo networks '{ 10.4.5.0/24 }' 2>&1 | head -n 1) || true
same 'what adding a network says' 'Error: interval overlaps with an existing one' "$said"
echo "$(basename "$0" .sh): as stated"
