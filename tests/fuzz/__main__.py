"""Fuzzes every target for its share of FUZZ_SECONDS, and says how many inputs were tried."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.targets import DICTIONARY, TARGETS, seeds

KEPT = Path(".fuzz")
"""What the fuzzers found worth keeping: inputs that reach something new, and those that fail."""

SHARES = {
    "objects": 0.4,
    "manifests": 0.3,
    "configurations": 0.15,
    "dumps": 0.1,
    "meshes": 0.05,
}
_LONGEST_INPUT = 8192  # bytes
_LONGEST_RUN = 10  # seconds that one input may take
_MEMORY = 1024  # megabytes that one may take
_TRIED = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)


def main() -> int:
    """Return 0 where no input failed."""
    if find_spec("atheris") is None:
        return _without_atheris()
    seconds = float(os.environ.get("FUZZ_SECONDS") or 60)
    failed = [name for name in TARGETS if not _fuzz(name, max(1, round(seconds * SHARES[name])))]
    return 1 if failed else 0


def _without_atheris() -> int:
    print("fuzz: nothing is fuzzed: there is no atheris here, which is for CPython up to 3.14")
    print("      and Linux on x86-64. What was once found is tried by tests/fuzz everywhere.")
    return 1 if os.environ.get("CI") == "true" else 0


def _fuzz(name: str, seconds: int) -> bool:
    corpus, beginning = KEPT / name, KEPT / "seeds" / name
    for directory in (corpus, beginning):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (beginning / str(number)).write_bytes(seed)
    words = KEPT / "dictionary"
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in DICTIONARY))
    regressions = Path(__file__).parent / "regressions" / name
    directories = [corpus, beginning, *([regressions] if regressions.is_dir() else [])]
    command = [sys.executable, "-m", "tests.fuzz.engine", name, *map(str, directories)]
    command += [f"-max_total_time={seconds}", f"-max_len={_LONGEST_INPUT}"]
    command += [f"-timeout={_LONGEST_RUN}", f"-rss_limit_mb={_MEMORY}", f"-dict={words}"]
    command += [f"-artifact_prefix={KEPT}/{name}-", "-print_final_stats=1"]
    run = subprocess.run(command, capture_output=True, check=False)
    return _report(name, run.returncode, (run.stdout + run.stderr).decode("utf-8", "replace"))


def _quoted(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def _report(name: str, code: int, output: str) -> bool:
    tried = _TRIED.search(output)
    count = f"{int(tried[1]):,}" if tried else "an unknown number of"
    if code == 0 and tried:
        print(f"fuzz: {name}: {count} inputs tried, none failed", flush=True)
        return True
    print("\n".join(output.splitlines()[-60:]))
    print(f"fuzz: {name}: failed after {count} inputs. Mend it, and keep the input, which is named")
    print(f"      above, in tests/fuzz/regressions/{name}/", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
