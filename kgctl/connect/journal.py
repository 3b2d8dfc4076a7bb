"""The log of ``kgctl connect``, in the format of the reference (go-kit's loggers)."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = ("debug", "info", "warn", "error")
CHOICES = ("all", *LEVELS, "none")
COMPONENT = "kgctl"
_LONGEST = 2000  # characters of a value


class Journal:
    """Writes one line per event: JSON with sorted keys, or text.

    Values may come from the cluster: they are escaped, so that none can break a line or control a
    terminal. ``worded`` puts an error, or another value with a remedy, into words.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        level: str = "info",
        as_json: bool = True,
        clock: Callable[[], datetime] | None = None,
        worded: Callable[[object], str] = str,
    ) -> None:
        self.worded = worded
        self._write = write
        self._lowest = {"all": 0, "none": len(LEVELS)}.get(level)
        if self._lowest is None:
            self._lowest = LEVELS.index(level)
        self._as_json = as_json
        self._clock = clock or (lambda: datetime.now(UTC))

    def debug(self, message: str, **values: object) -> None:
        """Log a detail for debugging."""
        self._log("debug", message, values)

    def info(self, message: str, **values: object) -> None:
        """Log an event."""
        self._log("info", message, values)

    def warn(self, message: str, **values: object) -> None:
        """Log a condition that needs attention."""
        self._log("warn", message, values)

    def error(self, message: str, **values: object) -> None:
        """Log a failure."""
        self._log("error", message, values)

    def _log(self, level: str, message: str, values: dict[str, object]) -> None:
        assert self._lowest is not None
        if LEVELS.index(level) < self._lowest:
            return
        shown = {name: self._shown(value) for name, value in values.items()}
        now = self._clock()
        if self._as_json:
            line = {
                "caller": _caller(),
                "component": COMPONENT,
                "level": level,
                "msg": message,
                "ts": rfc3339(now),
                **shown,
            }
            self._write(json.dumps(line, sort_keys=True, separators=(",", ":")))
        else:
            told = "".join(f", {name}: {value}" for name, value in shown.items())
            self._write(f"{now.astimezone():%H:%M:%S} {level:5} {printable(message)}{told}")

    def _shown(self, value: object) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return printable(self.worded(value), _LONGEST)


def rfc3339(moment: datetime) -> str:
    """Return a time in Go's RFC3339Nano format: UTC, no trailing zeros in the fraction."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def _caller() -> str:
    """Return ``module.py:line`` of the caller that logs: three frames up."""
    frame = sys._getframe(3)  # noqa: SLF001 - the documented way to one's caller
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
