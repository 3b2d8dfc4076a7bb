"""Run kgctl with a part of its fast lane turned off.

python bench/without.py PART ARGUMENT...

PART is a key of ``PARTS``; the rest is kgctl's command line. ``KGCTL_SLOW=1`` turns off all parts
at once; this turns off one, to measure what it saves.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import TYPE_CHECKING

import kgctl.__main__ as program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _slow(name: str) -> Callable[[], None]:
    """Return what puts the module ``name``, which asks for the lane, on the slow one."""

    def turn_off() -> None:
        module = vars(importlib.import_module(name))
        if "fast_lane" not in module:
            raise SystemExit(f"{name} does not ask for the lane")
        module["fast_lane"] = lambda: False

    return turn_off


def _no_head_start() -> None:
    from kgctl.cli.core.ahead import ahead

    vars(ahead)["ask"] = lambda _arguments: None


def _usual_collections() -> None:
    program.OBJECTS_BETWEEN_COLLECTIONS = gc.get_threshold()[0]


def _usual_end() -> None:
    vars(program)["_leave"] = lambda _code: None


PARTS: Mapping[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "requests": _slow("kgctl.kube.http.transport"),
    "protobuf": _slow("kgctl.kube.lists"),
    "kubeconfig": _slow("kgctl.kube.access.kubeconfig_file"),
    "json": _slow("kgctl.state.manifests"),
    "yaml": _slow("kgctl.state.manifests"),
    "plain calls": _slow("kgctl.cli.core.app"),
    "head start": _no_head_start,
    "collections": _usual_collections,
    "end": _usual_end,
}


def main() -> int:
    """Turn the part off, and be kgctl."""
    part = sys.argv.pop(1)
    PARTS[part]()
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
