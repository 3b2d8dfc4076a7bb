"""A reporter that records its calls."""

from __future__ import annotations

from kgctl.reporter import plain_setting


class Recorder:
    """Records the lines by method."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.informed: list[str] = []
        self.warned: list[str] = []

    def show(self, text: str, /) -> None:
        self.shown.append(text)

    def inform(self, text: str, /) -> None:
        self.informed.append(text)

    def warn(self, text: str, /) -> None:
        self.warned.append(text)

    def worded(self, error: object, /) -> str:
        return str(error)

    def setting(self, name: str, value: str = "", /) -> str:
        return plain_setting(name, value)
