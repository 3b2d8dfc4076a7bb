"""What kgctl keeps about a machine in annotations of its Peer object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.peer import NO_SETTINGS, Peer, PeerSettings, SshTarget
from kgctl.mesh.text import time_text
from kgctl.state.peer_objects import peer_of
from kgctl.state.peer_settings import (
    PARSERS,
    parse_expiry,
    parse_span,
    parse_ssh_target,
    parse_time,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def peer(annotations: object) -> Mapping[str, Any]:
    return {
        "metadata": {"name": "laptop", "annotations": annotations},
        "spec": {
            "allowedIPs": ["10.5.0.1/32"],
            "publicKey": "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo=",
        },
    }


def test_settings_are_read_from_annotations() -> None:
    found = peer_of(
        peer(
            {
                "kgctl.dev/relay": "true",
                "kgctl.dev/location": "home",
                "kgctl.dev/expires": "2027-01-31T12:00:00Z",
                "kgctl.dev/platform": "networkd",
                "kgctl.dev/ssh": "admin@[2001:db8::1]:2222",
                "kgctl.dev/sudo": "true",
                "kgctl.dev/other": "1",
            }
        )
    )
    assert isinstance(found, Peer)
    assert found.settings == PeerSettings(
        relay=True,
        location="home",
        expires=1801396800,
        platform="networkd",
        ssh=SshTarget("2001:db8::1", "admin", 2222),
        sudo=True,
    )


def test_a_setting_that_does_not_parse_counts_as_absent_and_is_told() -> None:
    found = peer_of(peer({"kgctl.dev/relay": "yes", "kgctl.dev/ssh": 22}))
    assert isinstance(found, Peer)
    assert found.settings == PeerSettings(
        problems=(
            'annotation kgctl.dev/relay "yes" is not true or false',
            'annotation kgctl.dev/ssh "int" is not [USER@]HOST[:PORT]',
        )
    )


@pytest.mark.parametrize("annotations", [None, [], "text", {}, {"kgctl.dev/other": "x"}])
def test_a_peer_without_settings(annotations: object) -> None:
    assert settings_of(peer(annotations)) is NO_SETTINGS


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("office", SshTarget("office")),
        ("root@192.0.2.7", SshTarget("192.0.2.7", "root")),
        ("host.example:22", SshTarget("host.example", port=22)),
        ("2001:db8::1", SshTarget("2001:db8::1")),
        ("Office_PC", SshTarget("Office_PC")),
    ],
)
def test_where_ssh_finds_a_machine(text: str, target: SshTarget) -> None:
    assert parse_ssh_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "-oX=y", "a@-x", "-l@a", "@a", "a@", "a:", "a:0", "a:65536", "a b", "a;b", "a@b@c", "[::1",
     "a:٣", "a\nb", "[::1]x"],
)  # fmt: skip
def test_what_is_no_ssh_target(text: str) -> None:
    assert parse_ssh_target(text) is None


@given(st.text(max_size=40))
def test_no_setting_can_become_an_option_or_a_second_line(text: str) -> None:
    for _, parse, _ in PARSERS.values():
        value = parse(text)
        for part in value if isinstance(value, tuple) else (value,):
            assert not str(part or "").startswith("-") or isinstance(part, int)
            assert str(part).isprintable()


@given(st.integers(0, 253402300799))
def test_times_are_written_as_they_are_read(seconds: int) -> None:
    assert parse_time(time_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m", 60),
        ("12h", 12 * 3600),
        ("30d", 30 * 86400),
        ("2w", 14 * 86400),
    ],
)
def test_an_end_may_be_so_long_from_now(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds
    assert parse_expiry(text, 1000.9) == 1000 + seconds


def test_an_end_may_be_a_day_or_a_time() -> None:
    assert parse_expiry("2027-01-31", 0) == 1801353600
    assert parse_expiry("2027-01-31T12:00:00Z", 0) == 1801396800
    assert parse_expiry("1999-12-31", 0) == 946598400


@pytest.mark.parametrize(
    "text",
    ["", "0d", "-1d", "1", "d", "1y", "1.5d", "1d12h", " 1d", "1 d", "1D", "1000000w", "999999w",
     "٣d", "2027-02-29", "2027-1-3", "27-01-31", "2027-01-31T12:00:00", "2027-01-31T12:00:00+01:00",
     "2027-01-31 12:00:00Z", "soon"],
)  # fmt: skip
def test_what_is_no_end(text: str) -> None:
    assert parse_expiry(text, 1_700_000_000.0) is None


@given(st.text(max_size=30), st.integers(0, 4102444800))
def test_an_end_can_always_be_written(text: str, now: int) -> None:
    end = parse_expiry(text, now)
    assert end is None or parse_time(time_text(end)) == end


@given(st.integers(1, 999999), st.sampled_from("mhdw"), st.integers(0, 4102444800))
def test_spans_count_from_now(number: int, unit: str, now: int) -> None:
    text = f"{number}{unit}"
    span, end = parse_span(text), parse_expiry(text, now)
    assert span is not None
    assert end == now + span or (end is None and now + span > 253402300799)


@given(st.integers(-62135596800, 253402300799))
def test_times_are_those_of_the_calendar(seconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert time_text(seconds) == f"{moment:%Y}".zfill(4) + f"{moment:-%m-%dT%H:%M:%SZ}"
