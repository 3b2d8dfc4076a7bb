#!/usr/bin/env bash
# Runs the tests of this folder in the guest of tests/vm. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
python=$PWD/.venv/bin/python
# An emulator imports slowly: no plugins but xdist, and no conftest.py but this folder's.
export KGCTL_GUEST=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
pytest=("$python" -m pytest -p xdist -p no:cacheprovider --confcutdir=tests/kernel tests/kernel)
# The guest forgets what it compiles.
"$python" -m compileall -q kgctl tests/kernel tests/network
"${pytest[@]}" --collect-only -qq >/dev/null
exec tests/vm/run.sh -t 1800 "${pytest[@]}" -n 2 --maxschedchunk=1 --durations=5 "$@"
