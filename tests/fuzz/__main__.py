"""Fuzzes every target for its share of FUZZ_SECONDS, and prints the number of inputs.

``python -m tests.fuzz --fixed`` tries the same inputs every time, as long as the code is the same.
``make test`` runs this; ``make fuzz`` looks for new inputs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.targets import DICTIONARY, TARGETS, seeds

KEPT = Path(".fuzz")
"""What the fuzzers found worth keeping: inputs that reach something new, and those that fail."""

SHARES = {
    "objects": 0.35,
    "manifests": 0.25,
    "configurations": 0.1,
    "dumps": 0.1,
    "meshes": 0.05,
    "imports": 0.1,
    "networks": 0.05,
}
FIXED_RUNS = {
    "objects": 900,
    "manifests": 6000,
    "configurations": 40000,
    "dumps": 10000,
    "meshes": 3000,
    "imports": 4000,
    "networks": 3000,
}
"""Inputs that ``--fixed`` tries: about a minute in all."""

_LONGEST_INPUT = 8192  # bytes
_LONGEST_RUN = 10  # seconds that one input may take
_MEMORY = 1024  # megabytes that one may take
_PROGRESS = re.compile(r"#\d+\s+(NEW|REDUCE|pulse|RELOAD|INITED)\b")
_TRIED = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Return 0 where no input failed."""
    if find_spec("atheris") is None:
        return _without_atheris()
    if arguments == ["--fixed"]:
        with tempfile.TemporaryDirectory() as empty:
            passed = [_fuzz_fixed(name, runs, Path(empty)) for name, runs in FIXED_RUNS.items()]
    else:
        seconds = float(os.environ.get("FUZZ_SECONDS") or 60)
        passed = [_fuzz_for(name, max(1, round(seconds * SHARES[name]))) for name in TARGETS]
    return 0 if all(passed) else 1


def _without_atheris() -> int:
    print("fuzz: nothing is fuzzed: there is no atheris here, which is for CPython up to 3.14")
    print("      and Linux on x86-64. What was once found is tried by tests/fuzz everywhere.")
    return 1 if os.environ.get("CI") == "true" else 0


def _fuzz_for(name: str, seconds: int) -> bool:
    return _fuzz(name, KEPT, [f"-max_total_time={seconds}"])


def _fuzz_fixed(name: str, runs: int, corpus: Path) -> bool:
    return _fuzz(name, corpus, [f"-runs={runs}", "-seed=1"])


def _fuzz(name: str, kept: Path, limits: list[str]) -> bool:
    corpus, beginning = kept / name, kept / "seeds" / name
    for directory in (KEPT, corpus, beginning):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (beginning / str(number)).write_bytes(seed)
    words = kept / "dictionary"
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in DICTIONARY))
    regressions = Path(__file__).parent / "regressions" / name
    directories = [corpus, beginning, *([regressions] if regressions.is_dir() else [])]
    command = [sys.executable, "-m", "tests.fuzz.engine", name, *map(str, directories)]
    command += [*limits, f"-max_len={_LONGEST_INPUT}"]
    command += [f"-timeout={_LONGEST_RUN}", f"-rss_limit_mb={_MEMORY}", f"-dict={words}"]
    command += [f"-artifact_prefix={KEPT}/{name}-", "-print_final_stats=1"]
    # the order of a set decides what an input reaches, and so which inputs are kept
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run = subprocess.run(command, capture_output=True, check=False, env=environment)
    return _report(name, run.returncode, (run.stdout + run.stderr).decode("utf-8", "replace"))


def _quoted(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def _report(name: str, code: int, output: str) -> bool:
    tried = _TRIED.search(output)
    count = f"{int(tried[1]):,}" if tried else "an unknown number of"
    if code == 0 and tried:
        print(f"fuzz: {name}: {count} inputs tried, none failed", flush=True)
        return True
    print("\n".join(_without_progress(output)[-60:]))
    print(f"fuzz: {name}: failed after {count} inputs. Mend it, and keep the input, which is named")
    print(f"      above, in tests/fuzz/regressions/{name}/", flush=True)
    return False


def _without_progress(output: str) -> list[str]:
    return [line for line in output.splitlines() if not _PROGRESS.match(line)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
