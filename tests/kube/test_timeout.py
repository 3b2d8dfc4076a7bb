"""Timeouts are parsed as by kubectl."""

from __future__ import annotations

import pytest

from kgctl.errors import ClusterError
from kgctl.kube.timeout import parse_timeout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", None),
        ("0s", None),
        ("5", 5.0),
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("300ms", 0.3),
        (".5s", 0.5),
        ("2h45m", 9900.0),
    ],
)
def test_seconds_and_durations(text: str, seconds: float | None) -> None:
    assert parse_timeout(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "text", ["", "-1", "-1s", "5 s", "s", "5x", "1m30", "1_0", "٣", "1e3s", "5s\n", "inf", "9" * 50]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ClusterError, match=r"^request timeout .* is not a timeout: give seconds"):
        parse_timeout(text)
