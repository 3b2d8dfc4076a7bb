"""Label selectors match the same as kubectl's."""

from __future__ import annotations

import pytest

from kgctl.kube.objects import SelectorError, parse_selector

LABELS = {"a": "1", "example.com/b": "x-y", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("a=1", True),
        ("a==1", True),
        ("a = 2", False),
        ("a!=2", True),
        ("a!=1", False),
        ("c!=1", True),  # where there is no such label it holds, too
        ("a", True),
        ("c", False),
        ("!c", True),
        ("!a", False),
        ("example.com/b=x-y", True),
        ("empty=", True),
        ("a in (1,2)", True),
        ("a in (2, 3)", False),
        ("a notin (2,3)", True),
        ("c notin (1)", True),
        ("a=1,example.com/b in (x-y,z),!c", True),
        ("a=1,c", False),
    ],
)
def test_it_matches(text: str, matches: bool) -> None:
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text", ["", "a=1,", "a in 1", "a in (1", "=1", "a=b=c", "a b", "-a", "a=-"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_selector(text)
