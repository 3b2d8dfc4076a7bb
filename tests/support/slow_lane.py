"""Which tests CI runs a second time, with the fast lane turned off."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDERS = ("tests/api/", "tests/cli/", "tests/kube/", "tests/state/", "tests/test_golden.py")
"""Where tests read clusters, kubeconfigs and manifests, or start the program: over half of all."""

_TOO_LONG = "tests/api/test_link"  # dozens of runs of the program a test; ``make slow`` has them
_SHARE = 48  # percent of the further cases; with one of every test, that is a third of the suite


def slow_third(nodeids: Iterable[str]) -> set[str]:
    """Return those of the tests that CI runs in both lanes: of each test of ``FOLDERS`` a case,
    and nearly half of its other cases.

    They are chosen by a sum of the name, so that they are always the same, and a new test moves
    none of the others.
    """
    cases: dict[str, list[tuple[int, str]]] = {}
    for nodeid in nodeids:
        if nodeid.startswith(FOLDERS) and not nodeid.startswith(_TOO_LONG):
            cases.setdefault(nodeid.partition("[")[0], []).append((_sum(nodeid), nodeid))
    chosen = {min(of_one)[1] for of_one in cases.values()}
    others = (case for of_one in cases.values() for case in of_one)
    return chosen | {nodeid for number, nodeid in others if number % 100 < _SHARE}


def _sum(nodeid: str) -> int:
    return zlib.crc32(nodeid.encode("utf-8", "surrogatepass"))
