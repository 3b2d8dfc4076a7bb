"""Printing a secret, and warning where others could read it."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from kgctl.cli.output import answer, note

if TYPE_CHECKING:
    from kgctl.mesh.key import SecretKey


def print_secret(key: SecretKey) -> None:
    """Print a key; where stdout is a file that others can read, say so as ``wg`` does."""
    if _others_can_read_stdout():
        note("stdout is a file that others can read; set the umask to 077 and try again")
    answer(f"{key.reveal()}\n")


def _others_can_read_stdout() -> bool:
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except OSError:  # not a file of the system at all
        return False
    return os.name == "posix" and stat.S_ISREG(mode) and bool(mode & stat.S_IRWXO)
