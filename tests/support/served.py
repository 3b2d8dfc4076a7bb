"""``kgctl serve`` as a process."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """Yield the address that kgctl prints; at the end it must exit with 0."""
    command = [sys.executable, "-m", "kgctl", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            assert process.wait(60) == 0


def fetch(url: str, method: str = "GET", seconds: float = 30, **headers: str) -> tuple[int, str]:
    """Return the status and the body of an answer with any status."""
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:  # it holds an open connection
            return error.code, error.read().decode()
