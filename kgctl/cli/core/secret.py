"""Printing secrets, and warning where others could read them."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from kgctl.cli.core.output import answer, note
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.mesh.key import SecretKey
    from kgctl.wireguard.conf import Configuration


def print_secret(key: SecretKey) -> None:
    """Print a key; warn where stdout is a file that others can read, as ``wg`` does."""
    answer_with_secret(f"{key.reveal()}\n")


def answer_with_secret(text: str, *, holds_one: bool = True) -> None:
    """Print an answer that may hold a key; warn where stdout is a file that others can read."""
    if holds_one and _others_can_read_stdout():
        note(
            "stdout is a file that others can read, and a secret key is in it now: chmod 600 it, "
            "and set the umask to 077 first next time"
        )
    answer(text)


def print_configuration(configuration: Configuration) -> None:
    """Print a configuration, with that warning if a private or preshared key is in it."""
    answer_with_secret(str(configuration), holds_one=holds_secret(configuration))


def warn_of_others(path: Path) -> None:
    """Warn where others can exchange a file that is to be written, and that root may read later.

    Raises:
        OutputFileError: it cannot be written.
    """
    from kgctl.files.writing import others_who_exchange

    who = others_who_exchange(path)
    if who is not None:
        note(
            f"{who} can put another file in the place of {printable(str(path))}: write to a "
            "directory of your own what is to set up a tunnel"
        )


def holds_secret(configuration: Configuration) -> bool:
    """Tell whether a private or a preshared key is in a configuration."""
    interface = configuration.interface
    private = interface is not None and interface.private_key is not None
    return private or any(peer.preshared_key is not None for peer in configuration.peers)


def _others_can_read_stdout() -> bool:
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or not a file of the system at all
        return False
    others = stat.S_IRWXG | stat.S_IRWXO
    return os.name == "posix" and stat.S_ISREG(mode) and bool(mode & others)
