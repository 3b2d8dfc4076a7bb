"""Atomic writing of files; files with secrets are readable by their owner only.

An existing file is replaced by a new one, never modified: a process that has it open, or another
name of the file, keeps the old content.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kgctl.errors import KgctlError
from kgctl.files.walk import (
    AS_IT_IS,
    HAS_OWNERS,
    Place,
    check_regular,
    check_special,
    is_trusted,
    me,
    owner,
    place_of,
    refusal,
    system_error,
)
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE = 0o600
"""The mode of a file that holds secrets."""

AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Flags for opening without waiting, and without acquiring a controlling terminal."""

_PUBLIC = 0o666  # before the umask


class OutputFileError(KgctlError):
    """A file cannot be written."""


def write_private(path: Path, content: bytes, *, one_of_many: bool = False) -> bool:
    """Write a file of mode 0600 atomically; return whether it changed.

    Readers see the old or the new content, never a part, even after a power failure. A file of
    this user that already has the content stays. A pipe or a device is written to directly. After
    ``one_of_many`` files in a directory, call ``sync_directory`` once.

    Raises:
        OutputFileError: it cannot be written, or another user controls a part of the path.
    """
    with _named(path), place_of(path) as place:
        if not _takes_a_file(place):
            _write_into(place, content)
        elif _holds(place, content):
            return False
        else:
            replace(place, content, sync_names=not one_of_many)
    return True


def sync_directory(path: Path) -> None:
    """Flush the names of all files in a directory to the disk.

    Raises:
        OutputFileError: the disk reports an error.
    """
    with _named(path), place_of(path / "x", follow=False) as place:
        _sync_names(place)


def write_public(path: Path, content: bytes) -> None:
    """Write a public file atomically; a pipe or a device is written to directly.

    An existing file of this user keeps its mode.

    Raises:
        OutputFileError: it cannot be written, or another user controls a part of the path.
    """
    with _named(path), place_of(path) as place:
        if not _takes_a_file(place):
            _write_into(place, content)
            return
        own = place.found is not None and is_trusted(place.found)
        mode = place.found.st_mode & 0o777 if place.found is not None and own else None
        with draft(place, content, mode) as name:
            _rename(place, name)


def check_lasting(path: Path) -> None:
    """Check that a path is a file, new or existing, that later runs can replace.

    Raises:
        OutputFileError: it is a pipe, a device, a directory or ``/dev/stdout``, or another user
            controls a part of the path.
    """
    with _named(path), place_of(path) as place:
        if not _takes_a_file(place):
            raise refusal("it is not a file that can be kept up to date")


def others_who_exchange(path: Path) -> str | None:
    """Return which other user can replace the file at ``path``, or ``everybody``; None if nobody.

    Groups are ignored: on many systems each user has a private group.

    Raises:
        OutputFileError: the path does not resolve, or another user controls a part of it.
    """
    with _named(path), place_of(path) as place:
        if place.directory is None:
            return None
        above = os.fstat(place.directory)
    if not is_trusted(above):
        return owner(above)
    everybody = above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX
    return "everybody" if everybody else None


def make_directory(path: Path) -> None:
    """Create a directory and its missing parents.

    Raises:
        OutputFileError: it cannot be created, or another user controls a part of the path.
    """
    with _named(path, "make"), place_of(path / "x", follow=False, make=True):
        pass


def make_own_directory(path: Path) -> None:
    """Create a directory of mode 0700, unless it exists.

    Raises:
        OutputFileError: it cannot be created, or is no directory, or is another user's.
    """
    with _named(path, "make"), place_of(path, follow=False) as place:
        if place.found is None:
            with suppress(FileExistsError):
                os.mkdir(place.name, 0o700, dir_fd=place.directory)
        elif not stat.S_ISDIR(place.found.st_mode):
            raise system_error(errno.ENOTDIR)
        elif not is_trusted(place.found):
            raise refusal(f"it belongs to another user ({owner(place.found)})")


def protect(path: Path, mode: int) -> None:
    """Set the mode of a file or directory of this user.

    Raises:
        OutputFileError: it is missing, a link, or of another user.
    """
    with _named(path, "protect"):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not is_trusted(os.fstat(handle)):
                raise refusal("it belongs to another user")
            os.fchmod(handle, mode)
        finally:
            os.close(handle)


def create_private(path: Path, content: bytes) -> None:
    """Create a file of mode 0600, which appears with its whole content or not at all.

    Raises:
        FileExistsError: the name exists, even if it is a dangling link.
        OSError: it cannot be written; ``strerror`` has the reason.
    """
    _create(path, content, PRIVATE)


def create_public(path: Path, content: bytes) -> None:
    """Create a file, of the mode that the umask leaves, as ``create_private`` does.

    Raises:
        OSError: as for ``create_private``.
    """
    _create(path, content, None)


def _create(path: Path, content: bytes, mode: int | None) -> None:
    with place_of(path, follow=False) as place:
        if place.found is not None or place.descriptor is not None:
            raise system_error(errno.EEXIST)
        with draft(place, content, mode, sync=True) as name:
            try:
                os.link(name, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links, such as FAT
                _fill(place, place.name, content, mode, sync=True)
        _sync_names(place)


def remove_own(path: Path) -> None:
    """Remove a file, a socket or the like, if it exists and belongs to this user.

    Raises:
        OSError: it cannot be removed.
    """
    with place_of(path, follow=False) as place:
        if place.found is not None and place.found.st_uid == me():
            os.unlink(place.name, dir_fd=place.directory)


def remove_empty(path: Path) -> None:
    """Remove an empty directory of this user, if it exists.

    Raises:
        OSError: it cannot be removed, for example because it is not empty.
    """
    with place_of(path, follow=False) as place:
        if place.found is not None and place.found.st_uid == me():
            os.rmdir(place.name, dir_fd=place.directory)


def replace_unfollowed(path: Path, content: bytes) -> None:
    """Replace a regular file of this user by one of the same mode, and never what a link leads to.

    Raises:
        OutputFileError: it is missing, a link, or of another user; or it cannot be written.
    """
    with _named(path), place_of(path, follow=False) as place:
        _check_own(place)
        assert place.found is not None
        with draft(place, content, place.found.st_mode & 0o777, sync=True) as name:
            _rename(place, name)
        _sync_names(place)


def remove_unfollowed(path: Path) -> None:
    """Remove a regular file of this user.

    Raises:
        OutputFileError: it is missing, a link, or of another user; or it cannot be removed.
    """
    with _named(path, "remove"), place_of(path, follow=False) as place:
        _check_own(place)
        os.unlink(place.name, dir_fd=place.directory)
        _sync_names(place)


def rename_unfollowed(path: Path, name: str) -> None:
    """Give a regular file of this user another ``name`` in its directory, which nothing has yet.

    Raises:
        OutputFileError: it is missing, a link, or of another user; the name exists; or it cannot
            be renamed.
    """
    with _named(path, "rename"), place_of(path, follow=False) as place:
        _check_own(place)
        with place_of(path.with_name(name), follow=False) as target:
            if target.found is not None:
                raise system_error(errno.EEXIST)
            os.rename(
                place.name, target.name, src_dir_fd=place.directory, dst_dir_fd=target.directory
            )
        _sync_names(place)


def _check_own(place: Place) -> None:
    if place.found is None:
        raise system_error(errno.ENOENT)
    if stat.S_ISLNK(place.found.st_mode):
        raise refusal("it is a symbolic link; name the file itself")
    check_regular(place.found)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other kgctl processes from changing the files of a directory; wait for those that do.

    A file system without locks has none of this.

    Raises:
        OutputFileError: the directory cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with _named(directory, "lock"):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_unfollowed(path: Path, most: int) -> bytes:
    """Return up to ``most`` bytes of a regular file of any user, which are untrusted.

    Raises:
        OSError: it cannot be read, or is a link, a pipe or the like.
    """
    with place_of(path, follow=False) as place:
        return read(place, most, anyone=True)


def read(place: Place, most: int, *, anyone: bool = False) -> bytes:
    """Return up to ``most`` bytes of a regular file of this user or root, or of ``anyone``.

    Raises:
        OSError: it cannot be read, is not regular, or belongs to another user.
    """
    handle = os.open(place.name, os.O_RDONLY | AS_IT_IS | AT_ONCE, dir_fd=place.directory)
    with os.fdopen(handle, "rb") as file:
        check_regular(os.fstat(handle), anyone=anyone)
        return file.read(most)


def replace(place: Place, content: bytes, *, sync_names: bool = True) -> None:
    """Replace the file at a place by one of mode 0600 that survives a power failure.

    Raises:
        OSError: it cannot be written.
    """
    with draft(place, content, PRIVATE, sync=True) as name:
        _rename(place, name)
    if sync_names:
        _sync_names(place)


@contextmanager
def draft(place: Place, content: bytes, mode: int | None, *, sync: bool = False) -> Iterator[str]:
    """Write a file under a temporary name in the same directory, which is removed afterwards.

    Raises:
        OSError: it cannot be written.
    """
    name = f".kgctl-{os.urandom(8).hex()}"
    if place.directory is None:
        name = os.path.join(os.path.dirname(place.name), name)
    try:
        _fill(place, name, content, mode, sync=sync)
        yield name
    finally:
        with suppress(FileNotFoundError):  # it was renamed, or never created
            os.unlink(name, dir_fd=place.directory)


def _sync_names(place: Place) -> None:
    if place.directory is None:
        return
    with suppress(PermissionError):  # a directory that is writable, but not readable
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.directory)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system without fsync of directories
                raise
        finally:
            os.close(handle)


@contextmanager
def _named(path: Path, what: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputFileError(f"cannot {what} {printable(str(path))}: {reason}") from None


def _takes_a_file(place: Place) -> bool:
    """Return whether a place is for a file; anything else is written to directly."""
    if place.descriptor is not None:
        return False
    kind = stat.S_IFREG if place.found is None else stat.S_IFMT(place.found.st_mode)
    if kind == stat.S_IFDIR:
        raise system_error(errno.EISDIR)
    return kind == stat.S_IFREG


def _write_into(place: Place, content: bytes) -> None:
    if place.descriptor is not None:
        if place.descriptor > 2 and not os.get_inheritable(place.descriptor):
            raise system_error(errno.EBADF)  # our own, such as a connection, not from the caller
        handle = os.dup(place.descriptor)
    else:
        assert place.found is not None  # an unused name is for a file
        check_special(place, place.found)
        flags = os.O_WRONLY | AS_IT_IS | getattr(os, "O_NOCTTY", 0)
        handle = os.open(place.name, flags, dir_fd=place.directory)
    with os.fdopen(handle, "wb") as stream:
        if place.descriptor is None:
            check_special(place, os.fstat(handle))  # it may have been replaced meanwhile
        stream.write(content)


def _holds(place: Place, content: bytes) -> bool:
    """Return whether this user's file has the content and no other name; set its mode to 0600."""
    if place.found is None or place.found.st_size != len(content):
        return False
    try:
        handle = os.open(place.name, os.O_RDONLY | AS_IT_IS | AT_ONCE, dir_fd=place.directory)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            check_regular(found)
            if found.st_uid != me() or found.st_nlink > 1 or file.read() != content:
                return False
            if HAS_OWNERS and stat.S_IMODE(found.st_mode) != PRIVATE:
                os.fchmod(handle, PRIVATE)
    except OSError:
        return False
    return True


def _fill(place: Place, name: str, content: bytes, mode: int | None, *, sync: bool) -> None:
    """Create a file. Without ``mode`` the umask decides; it never has a wider mode meanwhile."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | AS_IT_IS
    least = _PUBLIC if mode is None else PRIVATE
    handle = os.open(name, flags, least, dir_fd=place.directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if HAS_OWNERS and mode not in (None, PRIVATE):
                os.fchmod(handle, mode)
            if sync:
                os.fsync(handle)
    except BaseException:
        os.unlink(name, dir_fd=place.directory)
        raise


def _rename(place: Place, name: str) -> None:
    try:
        os.replace(name, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    except PermissionError:
        if place.found is None or place.found.st_uid == me():
            raise
        raise refusal(
            f"it belongs to another user ({owner(place.found)}); remove it, or name another file"
        ) from None


def unused(first: Path) -> Path:
    """Return the first of ``NAME.key``, ``NAME-2.key`` and so on that does not exist."""
    path, number = first, 1
    while path.is_symlink() or path.exists():
        number += 1
        path = first.with_name(f"{first.stem}-{number}{first.suffix}")
    return path
