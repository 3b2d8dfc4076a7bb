"""The files that ``-f`` names: one file, or the manifests of a directory and of those below it."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from kgctl.kube.errors import ManifestError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = "-"
"""The name of standard input."""

_SUFFIXES = (".json", ".yaml", ".yml")
_NOT_SEARCHED = frozenset(("node_modules", "__pycache__", "venv"))
"""Directories of other programs' files; hidden ones (.git, .venv) are not searched either."""


class ManifestFile(NamedTuple):
    """A file that may hold manifests; ``found`` says that a search found it, so nobody named it."""

    path: Path
    found: bool

    @property
    def label(self) -> str:
        """The file's name as messages have it."""
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
    """Return the file of that name; of a directory, its manifests and those below, sorted by path.

    Raises:
        ManifestError: the directory cannot be searched, or holds no file of a manifest's name.
    """
    path = Path(name)
    if not path.is_dir():
        return [ManifestFile(path, found=False)]
    found = sorted(_search(path))
    if not found:
        raise ManifestError(
            f"{printable(name)} holds no manifest: no file ends in {', '.join(_SUFFIXES)}"
        )
    return [ManifestFile(one, found=True) for one in found]


def is_searched(path: PurePath) -> bool:
    """Tell whether a search of a directory finds the file at a path relative to that."""
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
