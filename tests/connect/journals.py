"""A journal that records its lines."""

from __future__ import annotations

import json
from typing import Any

from kgctl.connect.journal import Journal


class Lines:
    """A ``journal``, and what it was ``told``."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.journal = Journal(self._lines.append, level="all")

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines]

    def clear(self) -> None:
        self._lines.clear()
