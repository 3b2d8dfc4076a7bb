"""Manifest files for ``-f``: a file, or those in and below a directory, now or in a git commit."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import ManifestError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


STDIN = "-"
"""The name for standard input."""

_SUFFIXES = (".json", ".yaml", ".yml")
_NOT_SEARCHED = frozenset(("node_modules", "__pycache__", "venv"))
"""Directories of other programs' files; hidden ones (.git, .venv) are not searched either."""


class ManifestFile(NamedTuple):
    """A file that may hold manifests; ``found`` if a search found it, instead of the user."""

    path: Path
    found: bool

    @property
    def label(self) -> str:
        """The file's name in messages."""
        return printable(str(self.path))

    def read(self) -> bytes:
        """Return the content.

        Raises:
            ManifestError: the file cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ManifestError(f"cannot read {self.label}: {error.strerror}") from None


def manifest_files(name: str) -> list[ManifestFile]:
    """Return the named file; for a directory, the manifests in and below it, sorted by path.

    Raises:
        ManifestError: the directory cannot be searched, or has no manifests.
    """
    path = Path(name)
    if not path.is_dir():
        return [ManifestFile(path, found=False)]
    found = sorted(_search(path))
    if not found:
        raise ManifestError(
            f"{printable(name)} has no manifests: no file ends in {', '.join(_SUFFIXES)}"
        )
    return [ManifestFile(one, found=True) for one in found]


def is_searched(path: PurePath) -> bool:
    """Return whether a search of a directory finds the file at a path relative to it."""
    *directories, file = path.parts
    hidden = any(_is_passed(one) for one in directories) or file[0] == "."
    return path.suffix in _SUFFIXES and not hidden


def _is_passed(directory: str) -> bool:
    return directory[0] == "." or directory in _NOT_SEARCHED


def _search(directory: Path) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        raise ManifestError(
            f"cannot read {printable(str(error.filename))}: {error.strerror}"
        ) from None

    for parent, directories, files in os.walk(directory, onerror=failed):
        directories[:] = [one for one in directories if not _is_passed(one)]
        for file in files:
            path = Path(parent, file)
            if is_searched(PurePath(file)) and path.is_file():
                yield path


_SECONDS = 30  # for one git command


def commit_of(revision: str, directory: Path | None = None) -> str | None:
    """Return the commit of a revision in the repository around a directory, or None.

    By default, that is the current directory.
    """
    wanted = f"{revision}^{{commit}}"
    found = _git(
        "rev-parse", "--verify", "--quiet", "--end-of-options", wanted, directory=directory
    )
    return None if found is None else found.decode().strip()


def contents_at(commit: str, names: Sequence[str]) -> Iterator[tuple[str, bytes, bool]]:
    """Yield label and content of each file at a commit, and whether a search found it.

    ``names`` are files and directories of the working tree; those missing in the commit are left
    out.

    Raises:
        ManifestError: a name is not in the repository.
    """
    for name in names:
        if name == STDIN:
            raise ManifestError("standard input has no revision; give -f FILE")
        directory, searched = Path(name), Path(name).is_dir()
        listed = _listed(commit, directory, searched=searched)
        for path in listed:
            below = PurePath(path)
            if searched and not is_searched(below):
                continue
            at = directory if searched else directory.parent
            content = _git("cat-file", "blob", f"{commit}:./{path}", directory=at)
            if content is not None:
                yield f"{printable(str(at / path))} at {commit[:12]}", content, searched


def _listed(commit: str, path: Path, *, searched: bool) -> list[str]:
    """Return the files at a commit, relative to the directory, or to the file's directory."""
    at, what = (path, ".") if searched else (path.parent, path.name)
    found = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", what, directory=at)
    if found is None:
        raise ManifestError(
            f"{printable(str(path))} is not in a git repository with the commit {commit[:12]}"
        )
    names = found.decode("utf-8", "surrogateescape").split("\0")
    return sorted(name for name in names if name)


def _git(*arguments: str, directory: Path | None = None) -> bytes | None:
    """Return git's output, or None if git fails or is missing."""
    import subprocess  # for --base alone; 15 ms of every other start

    try:
        run = subprocess.run(  # noqa: S603 - no shell, and names come after --
            ["git", *arguments],  # noqa: S607
            cwd=directory, capture_output=True, check=False, timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return run.stdout if run.returncode == 0 else None
