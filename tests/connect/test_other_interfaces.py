"""Interfaces that are not WireGuard: nothing is created for them, changed on them or cleaned up."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kgctl.cli.core.hints import message
from kgctl.connect.departure import Departure
from kgctl.connect.dryrun import commands
from kgctl.connect.session import Session
from kgctl.errors import HostError
from kgctl.host.record import RecordFile
from kgctl.host.tunnel import Tunnel
from kgctl.mesh.cidr import parse_cidr
from kgctl.state.interface import Objects
from tests.connect.journals import Lines
from tests.connect.test_identity import options
from tests.connect.test_membership import Store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kgctl connect is for Linux")

LOOPBACK = replace(options(), interface="lo", address=parse_cidr("10.5.0.1/32"))
REFUSED = (
    "the interface lo exists and is not a WireGuard interface: give another name with --interface"
)


class Cluster:
    """A cluster without objects."""

    def __init__(self) -> None:
        self.store = Store()

    def read(self) -> Objects:
        return Objects([], [], {})

    def peers(self) -> Store:
        return self.store

    def host(self) -> str:
        return "127.0.0.1"

    def clock_ahead(self) -> float | None:
        return None


def test_a_session_refuses_it_before_the_peer_is_created(tmp_path: Path) -> None:
    cluster, lines = Cluster(), Lines()
    file = RecordFile("lo", tmp_path)
    session = Session(LOOPBACK, cluster, file, lines.journal, farewell=cluster.peers)
    with pytest.raises(HostError) as raised:
        session.once()
    session.tunnel.dispose()
    assert message(raised.value) == REFUSED
    assert cluster.store.made == 0
    assert lines.told() == []
    assert file.read() is None


def test_a_dry_run_refuses_it() -> None:
    cluster = Cluster()
    with pytest.raises(HostError) as raised:
        list(commands(LOOPBACK, cluster))
    assert message(raised.value) == REFUSED
    assert cluster.store.made == 0


def test_nothing_of_it_is_cleaned_up(tmp_path: Path) -> None:
    """It took the name after the check, say."""
    cluster, lines = Cluster(), Lines()
    file = RecordFile("lo", tmp_path)
    tunnel = Tunnel("lo", file)
    tunnel.touched = True
    Departure(tunnel, file, lines.journal, cluster.peers).clean_up(None, resolving=False)
    tunnel.dispose()
    assert lines.told() == []
