#!/usr/bin/env bash
# Puts what package-lock.json names where the tests in a browser look for it; once a machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kgctl/browser
"$here/../../.ci/install-tools" wanted chromium npm
cmp -s "$here/package-lock.json" "$cache/installed-lock.json" && exit 0
command -v npm >/dev/null || exit 0 # install-tools has said so; the tests are skipped
echo 'Installing axe for the tests in a browser' >&2
mkdir -p "$cache"
cp "$here/package.json" "$here/package-lock.json" "$cache"
npm ci --prefix "$cache" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
cp "$here/package-lock.json" "$cache/installed-lock.json"
