#!/usr/bin/env bash
# Graphviz takes an IPv4 address without quotes for three numbers, draws a node for each, and succeeds.
#
# Guess: a name that is neither an identifier nor a number, such as 10.4.0.1, needs quotes, and is a syntax error without.
# Seen with Graphviz 2.42.2 (Debian 12) and 16.1.0 (@hpcc-js/wasm-graphviz 1.29.2): "gateway -> 10.4.0.1" is an edge to a node
# "10.4", and two more nodes, ".0" and ".1", with only a warning on the standard error. All addresses of 10.4.0.0/16 have
# the node "10.4", so the machines of a network become one. With an address before "->" the edge begins at its last part:
# "10.4.0.1 -> gateway" and "10.5.0.1 -> gateway" are two edges from ".1".
. "$(dirname "$0")/debian-packages.sh"
unpack graphviz=2.42.2-7+deb12u1 libcgraph6=2.42.2-7+deb12u1 libcdt5=2.42.2-7+deb12u1
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work" @hpcc-js/wasm-graphviz@1.29.2 >/dev/null
cat >"$work/probe.mjs" <<'END'
import { readFileSync } from "node:fs";
import { Graphviz } from "@hpcc-js/wasm-graphviz";
const graphviz = await Graphviz.load();
console.log(graphviz.version());
console.log(graphviz.layout(readFileSync(process.argv[2], "utf8"), "plain", "dot"));
END
echo 'digraph { gateway -> 10.4.0.1; 10.4.0.1 -> gateway; 10.5.0.1 -> gateway }' >"$work/plain.dot"
echo 'digraph { gateway -> "10.4.0.1"; "10.4.0.1" -> gateway; "10.5.0.1" -> gateway }' >"$work/quoted.dot"
same 'nodes and edges of 2.42' '5 3' "$(gc -n -e "$work/plain.dot" 2>"$work/warning" | awk '{ print $1, $2 }')"
same 'the warning of 2.42' "Warning: syntax ambiguity - badly delimited number '10.4.'" \
  "$(head -n 1 "$work/warning" | sed 's/ in line.*//')"
same 'nodes and edges of 2.42 with quotes' '3 3' "$(gc -n -e "$work/quoted.dot" | awk '{ print $1, $2 }')"
draw() { node "$work/probe.mjs" "$1" 2>/dev/null; }
new=$(draw "$work/plain.dot")
same 'the version of the other' 16.1.0 "$(head -n 1 <<<"$new")"
same 'the nodes of 16.1' '.0 .1 10.4 10.5 gateway' "$(awk '/^node/ { print $2 }' <<<"$new" | LC_ALL=C sort | paste -sd ' ')"
same 'the edges of 16.1' '.1>gateway .1>gateway gateway>10.4' \
  "$(awk '/^edge/ { print $2 ">" $3 }' <<<"$new" | LC_ALL=C sort | paste -sd ' ')"
same 'the nodes of 16.1 with quotes' 3 "$(draw "$work/quoted.dot" | grep -c '^node')"
echo "$(basename "$0" .sh): as stated"
