"""Writing files that hold secrets: whole or not at all, and for their owner alone."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from kgctl.mesh.errors import KgctlError

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


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(FileNotFoundError):  # a signal may come when it has its name already
            os.unlink(temporary)  # noqa: PTH108
        raise
