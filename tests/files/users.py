"""Actions of another user of the machine, and what this user can do afterwards."""

from __future__ import annotations

import os
import pickle
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT, MALLORY, VICTIM = 0, 65533, 65532

Result = TypeVar("Result")


def as_user(number: int, act: Callable[[], Result]) -> Result:
    """Run ``act`` in a process of that user; return its result, or raise its error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if number != os.geteuid():
                os.setgroups([])
                os.setresgid(number, number, number)
                os.setresuid(number, number, number)
            found: tuple[bool, object] = (True, act())
        except BaseException as error:
            found = (False, error)
        os.write(writing, pickle.dumps(found))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    good, value = pickle.loads(answer)
    if not good:
        raise value
    return value  # type: ignore[no-any-return]


@contextmanager
def reachable() -> Iterator[Path]:
    """Make a directory that every user can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o711)
        yield place


def give(path: Path, number: int) -> Path:
    """Have a file, or a link, belong to that user."""
    os.chown(path, number, number, follow_symlinks=False)
    return path
