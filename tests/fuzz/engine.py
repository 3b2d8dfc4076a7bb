"""One fuzzer, for one target: ``python -m tests.fuzz.engine TARGET [libFuzzer's options]``.

It runs until it is stopped, or finds an input that fails; libFuzzer never returns.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

# what is measured is how much of kgctl an input reaches, so it is imported here
with atheris.instrument_imports(include=["kgctl"]):
    import kgctl.kube.codec.yaml_loader
    import kgctl.kube.fast.json_list
    import kgctl.kube.fast.yaml_objects  # noqa: F401
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz the target that the command line names."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as scratch:
        atheris.Setup([sys.argv[0], *options], lambda data: target(data, Path(scratch)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
