"""The search for the folder of a network.

Every call of kgctl that names no source searches, so this imports little and reads little.
"""

from __future__ import annotations

from pathlib import Path

API_VERSION = "kgctl.dev/v1alpha1"
KIND = "Network"
FILE = "network.yaml"
"""The file that makes a folder a network."""

KEYS = "keys"
"""The directory in the folder with private keys."""

_HEAD = 1 << 16  # bytes in which the file names its format


def is_network(folder: Path) -> bool:
    """Return whether a folder holds a ``network.yaml`` of kgctl; other programs have such files."""
    path = folder / FILE
    try:
        path.stat()
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return False
    return API_VERSION.encode() in head and KIND.encode() in head


def folder_around(start: Path | None = None, home: Path | None = None) -> Path | None:
    """Return the folder of a network around ``start``, by default the current directory.

    That is the directory itself or a parent, up to ``home``, by default the home directory, and on
    the same file system; None if none of them is one.
    """
    try:
        start = Path.cwd() if start is None else start.resolve()
    except OSError:  # it was removed
        return None
    home = Path("~").expanduser() if home is None else home
    for folder in (start, *start.parents):
        if is_network(folder):
            return folder if _device(folder) == _device(start) else None
        if folder == home:
            return None
    return None


def _device(path: Path) -> int | None:
    """Return the file system of a path, or of its first parent that exists."""
    for one in (path, *path.parents):
        try:
            return one.stat().st_dev
        except OSError:
            continue
    return None
