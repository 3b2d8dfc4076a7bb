"""Safe path resolution, name by name from an open directory.

In a directory that others can write to, such as ``/tmp``, another user can plant a symbolic link
to a file of this user, a file with the right content to change later, or a pipe to read from. So

* a symbolic link is followed only if it belongs to this user or root, in a directory of theirs
  that the world cannot write to, or that is sticky (as with ``fs.protected_symlinks`` of Linux);
* a directory of a third user is entered only if not everybody could have put it there;
* a pipe or a device is used only if it belongs to this user or root, or only they could have put
  it there.

``/dev/stdout`` and ``/dev/fd/N`` are descriptors from the caller, and are used as such. Systems
without numeric users (Windows) have none of these checks.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HAS_OWNERS = os.name == "posix" and os.open in os.supports_dir_fd
"""Whether files have owners, and can be opened relative to a directory."""

AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags for opening any file: do not follow links."""

_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40  # the kernel's limit


class Place(NamedTuple):
    """A name in an open directory, and the status of the file there, or a descriptor.

    Without ``directory`` the name is a path. The descriptor is one of this process.
    """

    directory: int | None
    name: str
    found: os.stat_result | None = None
    descriptor: int | None = None


@contextmanager
def place_of(path: Path, *, follow: bool = True, make: bool = False) -> Iterator[Place]:
    """Resolve a path, and keep its directory open during the context.

    Without ``follow``, the last name may be a link, which is then the place itself. ``make``
    creates missing directories.

    Raises:
        OSError: the path does not resolve, or another user controls a part of it; ``strerror`` has
            the reason.
    """
    text = os.fspath(path)
    if not HAS_OWNERS:
        text = os.path.realpath(text) if follow else text
        yield Place(None, text, os.lstat(text) if os.path.lexists(text) else None)
        return
    walk = _Walk(make=make)
    try:
        yield walk.to(text, follow=follow)
    finally:
        walk.close()


def system_error(number: int) -> OSError:
    """Return the OSError for an errno, with the system's text."""
    return OSError(number, os.strerror(number))


def refusal(reason: str) -> PermissionError:
    """Return an error for a violation of kgctl's own rules, in the form of a system error."""
    return PermissionError(errno.EPERM, reason)


def me() -> int:
    """Return the effective user ID; 0 if files have no owners."""
    return os.geteuid() if HAS_OWNERS else 0


def is_trusted(found: os.stat_result) -> bool:
    """Return whether a file belongs to this user or root."""
    return found.st_uid in (me(), 0)


def owner(found: os.stat_result) -> str:
    """Return the name of a file's owner, or the user ID."""
    try:
        import pwd  # Unix only

        return printable(pwd.getpwuid(found.st_uid).pw_name, 60)
    except (ImportError, KeyError):
        return f"user {found.st_uid}"


def check_regular(found: os.stat_result, *, anyone: bool = False) -> None:
    """Check that a file is regular, and belongs to this user or root, or to ``anyone``.

    Raises:
        OSError: it is not, or does not.
    """
    if not stat.S_ISREG(found.st_mode):
        raise refusal("it is not a regular file")
    if not anyone and not is_trusted(found):
        raise refusal(f"it belongs to another user ({owner(found)})")


def check_directory(found: os.stat_result) -> None:
    """Check that only this user and root can replace the files in a directory.

    Raises:
        OSError: others can.
    """
    if not is_trusted(found):
        raise refusal(f"the directory belongs to another user ({owner(found)})")
    if HAS_OWNERS and found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
        raise refusal("others can write to the directory; chmod go-w it")


def check_special(place: Place, found: os.stat_result) -> None:
    """Check that no other user put a pipe or a device there.

    Raises:
        OSError: another user did, or may have.
    """
    if place.directory is None or is_trusted(found):
        return
    above = os.fstat(place.directory)
    if above.st_mode & _OTHERS_WRITE or not is_trusted(above):
        raise refusal(
            f"it is a pipe or a device of another user ({owner(found)}); name a file of your own"
        )


def check_found(path: Path) -> None:
    """Check that nobody planted a file that the user did not name.

    Raises:
        OSError: another user may have put it into a directory that everybody can write to.
    """
    with place_of(path, follow=False) as place:
        if place.found is not None and place.directory is not None:
            above = os.fstat(place.directory)
            if _is_planted(place.found, above):
                raise refusal(
                    f"it belongs to another user ({owner(place.found)}) and lies where everybody "
                    "can make one"
                )


class _Walk:
    """The current directory of a walk, held open."""

    def __init__(self, *, make: bool) -> None:
        self._make = make
        self._at = -1
        self._links = 0

    def close(self) -> None:
        if self._at >= 0:
            os.close(self._at)
        self._at = -1

    def to(self, path: str, *, follow: bool) -> Place:
        names = self._begin(path)
        while isinstance(names, list):
            if not names:
                raise system_error(errno.EISDIR)
            name = names.pop()
            found = self._look(name)
            if found is not None and stat.S_ISLNK(found.st_mode) and (names or follow):
                names = self._follow(name, found, names)
            elif names or name == "..":
                self._enter(name, found)
            else:
                return Place(self._at, name, found)
        return Place(None, path, descriptor=names)

    def _begin(self, path: str) -> list[str] | int:
        """Go to the start of a path, and return its names from the last to the first.

        If the path is a name of a descriptor, return the descriptor.
        """
        given = _descriptor(path)
        if given is not None:
            return given
        if path.startswith("/") or self._at < 0:
            self._arrive(os.open("/" if path.startswith("/") else ".", _DIRECTORY | os.O_CLOEXEC))
        return [name for name in reversed(path.split("/")) if name not in ("", ".")]

    def _arrive(self, directory: int) -> None:
        self.close()
        self._at = directory

    def _look(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._at, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _follow(self, name: str, link: os.stat_result, names: list[str]) -> list[str] | int:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise system_error(errno.ELOOP)
        _check_link(name, link, os.fstat(self._at))
        target = os.readlink(name, dir_fd=self._at)
        return self._begin("/".join([target, *reversed(names)]))

    def _enter(self, name: str, found: os.stat_result | None) -> None:
        if found is None and self._make:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=self._at)
        above = os.fstat(self._at)
        self._arrive(os.open(name, _DIRECTORY | AS_IT_IS, dir_fd=self._at))
        if name != "..":
            _check_passed(name, os.fstat(self._at), above)


def _descriptor(path: str) -> int | None:
    """Return the descriptor of this process that a path names, or None."""
    standard = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}.get(path)
    if standard is not None:
        return standard
    folder, _, number = path.rpartition("/")
    own = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd", f"/proc/{os.getpid()}/fd")
    return int(number) if folder in own and number.isascii() and number.isdigit() else None


def _check_link(name: str, link: os.stat_result, above: os.stat_result) -> None:
    shown = printable(name)
    if not is_trusted(link):
        raise refusal(
            f'"{shown}" is a symbolic link of another user ({owner(link)}); remove it, or name the '
            "file itself"
        )
    if above.st_mode & stat.S_IWOTH:
        fixed = above.st_mode & stat.S_ISVTX and link.st_nlink == 1
    else:
        fixed = True
    if not fixed or not is_trusted(above):
        raise refusal(
            f'"{shown}" is a symbolic link where others can put one; name the file itself'
        )


def _is_planted(found: os.stat_result, above: os.stat_result) -> bool:
    everybody = above.st_mode & stat.S_IWOTH
    return bool(everybody) and not is_trusted(found) and found.st_uid != above.st_uid


def _check_passed(name: str, found: os.stat_result, above: os.stat_result) -> None:
    """Check that nobody planted a directory."""
    if _is_planted(found, above):
        raise refusal(
            f'the directory "{printable(name)}" belongs to another user ({owner(found)}) and lies '
            "where everybody can make one; name a directory of your own"
        )
