#!/usr/bin/env bash
# Puts Mermaid's parser, as package-lock.json names it, where the tests look for it; once a machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kgctl/mermaid
"$here/../../.ci/install-tools" wanted node npm
cmp -s "$here/package-lock.json" "$cache/installed-lock.json" && exit 0
command -v npm >/dev/null || exit 0 # install-tools has said so; the tests are skipped
echo 'Installing the Mermaid parser for the tests' >&2
mkdir -p "$cache"
cp "$here/package.json" "$here/package-lock.json" "$cache"
npm ci --prefix "$cache" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
cp "$here/package-lock.json" "$cache/installed-lock.json"
