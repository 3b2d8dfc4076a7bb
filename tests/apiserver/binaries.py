"""Locations of the API server's programs, as ``build.sh`` defines them."""

from __future__ import annotations

import subprocess
from pathlib import Path

BUILD = Path(__file__).with_name("build.sh")


def find_binaries() -> Path | None:
    """The directory with kube-apiserver and etcd, or None where there is none."""
    answer = subprocess.run([str(BUILD), "--where"], capture_output=True, text=True, check=True)
    directory = Path(answer.stdout.strip())
    if all((directory / program).is_file() for program in ("kube-apiserver", "etcd")):
        return directory
    return None
