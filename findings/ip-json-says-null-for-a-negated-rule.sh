#!/usr/bin/env bash
# `ip -j rule` gives the negation of a rule as "not": null, which a program takes for "no such thing".
#
# Guess: the flag of `ip rule add not fwmark ...`, the rule that wg-quick and the .network files of tunnels for all traffic
# use, is true in JSON, and absent from other rules.
# Seen with iproute2 6.1.0 (Debian 12): the key is there, and its value is null. rule.get("not") of Python, .not of jq and
# rule.not of JavaScript are as false as for a rule without the key, so "everything but the mark" reads as "the mark": the
# opposite. Only a test for the key itself tells the two apart.
. "$(dirname "$0")/debian-packages.sh"
unpack iproute2=6.1.0-3
name=kgn$$
namespace "$name"
inside() { ip netns exec "$name" ip "$@"; }
inside -4 rule add not fwmark 51820 table 51820 priority 101
inside -4 rule add fwmark 51820 table 51820 priority 102
rules() {
  inside -j -4 rule | python3 -c "
import json, sys
print(*($1 for rule in json.load(sys.stdin) if rule['priority'] in (101, 102)))"
}
same 'the rules in words' '101: not from all fwmark 0xca6c lookup 51820|102: from all fwmark 0xca6c lookup 51820' \
  "$(inside -4 rule | grep -E '^10[12]:' | tr '\t' ' ' | paste -sd '|' | sed 's/ *|/|/; s/ *$//')"
same 'the negation by its value' 'None None' "$(rules 'rule.get("not")')"
same 'the negation by its key' 'True False' "$(rules '"not" in rule')"
echo "$(basename "$0" .sh): as stated"
