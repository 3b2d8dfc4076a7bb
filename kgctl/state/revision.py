"""Manifest files as they were at a revision of the git repository around them."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from kgctl.kube.errors import ManifestError
from kgctl.mesh.text import printable
from kgctl.state.manifest_files import STDIN, is_searched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SECONDS = 30  # for one git


def commit_of(revision: str) -> str | None:
    """Return the commit that a revision of the repository around stands for, or None."""
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return None if found is None else found.decode().strip()


def contents_at(commit: str, names: Sequence[str]) -> Iterator[tuple[str, bytes, bool]]:
    """Yield label and content of each file at a commit, and whether a search found it.

    ``names`` are files and directories of the working tree; what was not there then is left out.

    Raises:
        ManifestError: a name is of no file of the repository.
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
    """Return the files at a commit, relative to the directory, or to that of the file."""
    at, what = (path, ".") if searched else (path.parent, path.name)
    found = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", what, directory=at)
    if found is None:
        raise ManifestError(
            f"{printable(str(path))} is in no git repository that has {commit[:12]}"
        )
    names = found.decode("utf-8", "surrogateescape").split("\0")
    return sorted(name for name in names if name)


def _git(*arguments: str, directory: Path | None = None) -> bytes | None:
    """Return what git prints, or None if it fails or is not there."""
    try:
        run = subprocess.run(  # noqa: S603 - no shell, and names stand behind --
            ["git", *arguments],  # noqa: S607
            cwd=directory, capture_output=True, check=False, timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return run.stdout if run.returncode == 0 else None
