#!/usr/bin/env bash
# Runs the tests of this folder in guests of tests/vm, two side by side, each with one processor: those of systemd's and
# other daemons in a guest with systemd, the others in two guests without. tests/kernel/conftest.py says which test is
# for which guest. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
python=$PWD/.venv/bin/python
# An emulator imports slowly: no plugins, and no conftest.py but this folder's.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
pytest=("$python" -m pytest -p no:cacheprovider --confcutdir=tests/kernel tests/kernel)
# The guest forgets what it compiles.
"$python" -m compileall -q kgctl tests/kernel tests/network
tests/vm/fetch.sh # once, before two guests ask for it

work=$(mktemp -d)
lanes=()
finish() {
  ((${#lanes[@]} == 0)) || kill "${lanes[@]}" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# guest NAME OPTION... -- ARG... : runs the tests for one guest, with options for tests/vm/run.sh, if any is chosen
guest() {
  local name=$1 options=() code=0
  shift
  while [[ $1 != -- ]]; do
    options+=("$1")
    shift
  done
  shift
  export KGCTL_GUEST=$name
  "${pytest[@]}" --collect-only -qq "$@" >/dev/null || code=$?
  ((code != 5)) || return 0 # no test is chosen
  ((code == 0)) || return "$code"
  touch "$work/chosen"
  tests/vm/run.sh -c 1 "${options[@]}" "${pytest[@]}" --durations=5 "$@" &
  guest=$!
  trap 'kill "$guest" 2>/dev/null || true; exit 143' TERM
  wait "$guest"
}

# lane NAME... -- ARG... : runs guests one after the other, in the background; what they say goes into a file
lane() {
  local names=() status=0
  while [[ $1 != -- ]]; do
    names+=("$1")
    shift
  done
  shift
  for name in "${names[@]}"; do
    case $name in
    systemd) guest systemd -s -t 900 -- "$@" || status=$? ;;
    *) guest "$name" -t 1800 -- "$@" || status=$? ;;
    esac
  done
  return "$status"
}

lane connect -- "$@" >"$work/first" 2>&1 &
lanes+=("$!")
lane systemd others -- "$@" >"$work/second" 2>&1 &
lanes+=("$!")
status=0
for one in "${lanes[@]}"; do
  wait "$one" || status=$?
done
lanes=()
cat "$work/first" "$work/second"
[[ -e $work/chosen ]] || status=5
exit "$status"
