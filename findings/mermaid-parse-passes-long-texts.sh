#!/usr/bin/env bash
# Mermaid's parse() refuses a flowchart of more than 500 edges, and passes one of more than 50,000 characters.
#
# Guess: parse(), which checks a text before it is published, knows both limits (maxEdges, maxTextSize) or neither.
# Seen with mermaid 11.12.0 and jsdom 26.1.0: 501 edges raise "Edge limit exceeded", 60,000 characters are valid. So whoever
# checks texts with parse() has to count characters by other means.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work" mermaid@11.12.0 jsdom@26.1.0 >/dev/null
cat >probe.mjs <<'END'
import { JSDOM } from "jsdom";
const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");
const edges = (count) => "flowchart TB\n" + Array.from({ length: count }, (_, n) => `a --> b${n}\n`).join("");
const text = (size) => `flowchart TB\na["${"x".repeat(size)}"]\n`;
const verdict = (one) => mermaid.parse(one).then(() => "valid", (error) => String(error.message).split(".")[0]);
console.log([await verdict(edges(500)), await verdict(edges(501)), await verdict(text(60000))].join("|"));
END
seen=$(node probe.mjs)
expected='valid|Edge limit exceeded|valid'
if [ "$seen" != "$expected" ]; then
  echo "$(basename "$0" .sh): CHANGED: '$seen', and was '$expected'"
  exit 1
fi
echo "$(basename "$0" .sh): as stated"
