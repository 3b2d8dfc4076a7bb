"""Look-ups: names that do not exist, and names without an answer."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from kgctl.host.names import LookedUp, look_up_all

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address

FOUND = IPv4Address("203.0.113.1")


def resolver(name: str) -> list[Address]:
    """Answer as getaddrinfo does."""
    if name == "gone.example.com":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if name == "no-address.example.com":
        raise socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
    if name == "away.example.com":
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    if name == "empty.example.com":
        return []
    if name == "long.example.com":
        raise UnicodeError("label too long")
    return [FOUND]


def test_only_a_name_that_is_known_not_to_be_there_is_missing() -> None:
    names = ["gone", "no-address", "away", "empty", "long", "here"]

    found = look_up_all((f"{name}.example.com" for name in names), lookup=resolver)

    assert dict(found.missing) == {
        "gone.example.com": "Name or service not known",
        "no-address.example.com": "No address associated with hostname",
        "empty.example.com": "it has no address",
    }
    assert dict(found.unasked) == {
        "away.example.com": "Temporary failure in name resolution",
        "long.example.com": "label too long",
    }


def test_a_reserved_name_is_missing_and_nobody_is_asked() -> None:
    def nobody(name: str) -> list[Address]:
        raise AssertionError(name)

    found = look_up_all(["a1.example.invalid", "invalid"], lookup=nobody)

    assert set(found.missing) == {"a1.example.invalid", "invalid"}
    assert not found.unasked


def test_nothing_to_ask_takes_no_thread() -> None:
    before = threading.active_count()
    assert look_up_all([]) == LookedUp({}, {})
    assert threading.active_count() == before


def test_a_resolver_that_hangs_is_waited_for_no_longer_than_given() -> None:
    end = threading.Event()

    def slow(name: str) -> list[Address]:
        if name.startswith("slow"):
            end.wait(120)
        return resolver(name)

    began = time.monotonic()
    found = look_up_all(["gone.example.com", "slow.example.com"], seconds=0.3, lookup=slow)
    took = time.monotonic() - began
    end.set()

    assert took < 60
    assert set(found.missing) == {"gone.example.com"}
    assert dict(found.unasked) == {"slow.example.com": "no answer in time"}


def test_many_names_are_asked_at_once() -> None:
    asking, most = 0, 0
    lock = threading.Lock()

    def counted(_name: str) -> list[Address]:
        nonlocal asking, most
        with lock:
            asking += 1
            most = max(most, asking)
        time.sleep(0.01)
        with lock:
            asking -= 1
        return [FOUND]

    names = [f"n{number}.example.com" for number in range(100)]
    assert look_up_all(names, seconds=30, lookup=counted) == LookedUp({}, {})
    assert 1 < most <= 16
