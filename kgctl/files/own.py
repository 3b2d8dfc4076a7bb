"""A directory whose files are believed: nobody but this user and root can have put them there."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kgctl.files.walk import (
    AS_IT_IS,
    Place,
    check_directory,
    check_regular,
    place_of,
    system_error,
)
from kgctl.files.writing import AT_ONCE, PRIVATE, read, replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OwnDirectory:
    """A directory in which this user or root alone can make, exchange and remove files.

    Each method walks to ``path`` again, and raises OSError where it is not such a directory, or
    the file belongs to a third user; ``strerror`` says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make the directory unless it is there; see to it that files can be made in it."""
        with place_of(self.path) as place:
            if place.found is None and place.descriptor is None:
                with suppress(FileExistsError):
                    os.mkdir(place.name, 0o755, dir_fd=place.directory)
        with self._place("x") as place:
            if not os.access(".", os.W_OK, dir_fd=place.directory, effective_ids=True):
                raise system_error(errno.EACCES)

    def read(self, name: str, most: int) -> bytes:
        """Return up to ``most`` bytes of a file."""
        with self._place(name) as place:
            return read(place, most)

    def write(self, name: str, content: bytes) -> None:
        """Write a file of mode 0600 in one step; what has that name is replaced."""
        with self._place(name) as place:
            replace(place, content)

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._place(name) as place, suppress(FileNotFoundError):
            os.unlink(place.name, dir_fd=place.directory)

    def open_lock(self, name: str) -> int:
        """Return a descriptor of a file to be locked, which is made if it is not there."""
        flags = os.O_RDWR | os.O_CREAT | AS_IT_IS | AT_ONCE
        with self._place(name) as place:
            handle = os.open(place.name, flags, PRIVATE, dir_fd=place.directory)
        try:
            check_regular(os.fstat(handle))
        except BaseException:
            os.close(handle)
            raise
        return handle

    @contextmanager
    def _place(self, name: str) -> Iterator[Place]:
        with place_of(self.path / name, follow=False) as place:
            if place.directory is not None:
                check_directory(os.fstat(place.directory))
            yield place
