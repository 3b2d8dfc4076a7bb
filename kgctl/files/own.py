"""A directory in which only this user or root can create files, so they can be trusted."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kgctl.files.atomic import AT_ONCE, PRIVATE, read, replace
from kgctl.files.walk import (
    AS_IT_IS,
    Place,
    check_directory,
    check_regular,
    place_of,
    system_error,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OwnDirectory:
    """A directory in which only this user and root can create, replace and remove files.

    Each method resolves ``path`` again, and raises OSError if it is not such a directory, or if the
    file belongs to a third user; ``strerror`` gives the reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Create the directory unless it exists; check that it is writable."""
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
        """Write a file of mode 0600 atomically, replacing one of that name."""
        with self._place(name) as place:
            replace(place, content)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with self._place(name) as place, suppress(FileNotFoundError):
            os.unlink(place.name, dir_fd=place.directory)

    def open_lock(self, name: str) -> int:
        """Return a descriptor of a file to lock; create the file if it does not exist."""
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
