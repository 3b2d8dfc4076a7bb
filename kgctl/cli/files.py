"""Writing files whole or not at all; those that hold secrets for their owner alone."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from pathlib import Path


class OutputFileError(KgctlError):
    """A file cannot be written."""


def write_private(path: Path, content: bytes) -> bool:
    """Write a file of mode 0600 in one step; return whether it was another before.

    Who reads it sees the old content or the new one, never a part. A file that holds the content
    already is left alone.

    Raises:
        OutputFileError: it cannot be written.
    """
    try:
        if path.is_file() and path.read_bytes() == content:
            path.chmod(0o600)
            return False
        _replace(path, content)
    except OSError as error:
        raise OutputFileError(f"cannot write {path}: {error.strerror}") from None
    return True


def write_public(path: Path, content: bytes) -> None:
    """Write a file for everyone to read, in one step; a pipe or a device is written into.

    Raises:
        OutputFileError: it cannot be written.
    """
    try:
        target = path.resolve()  # what a link leads to, not the link
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                stream.write(content)
        else:
            _replace(target, content, _usual_mode(target))
    except OSError as error:
        raise OutputFileError(f"cannot write {printable(str(path))}: {error.strerror}") from None


def _usual_mode(path: Path) -> int:
    """Return the mode that the file has, or that a new one gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _replace(path: Path, content: bytes, mode: int | None = None) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        if mode is not None:
            os.chmod(temporary, mode)  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(FileNotFoundError):  # a signal may come when it has its name already
            os.unlink(temporary)  # noqa: PTH108
        raise
