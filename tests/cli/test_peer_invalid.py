"""Peers that became invalid: ``peer rm`` and ``peer set`` write so that agents notice."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.cli.commands.peer_change import Changes, Renewal, rotate_peer, set_peer
from kgctl.cli.commands.peer_remove import MissingPeersError, remove_peers
from kgctl.cli.commands.peer_target import Target
from kgctl.edit.peer_writes import MARK
from kgctl.errors import ConnectionLostError
from tests.support.listening import Listener
from tests.support.living import PEERS, LivingTransport
from tests.support.memory import Answer, Request, status_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
OTHER = "Ep30BHFGgnVTJo7PxrPRFPLNqWdA7mCfSsKpGIoMyEI="
GOOD = {"allowedIPs": ["10.5.0.1/32"], "publicKey": KEY, "persistentKeepalive": 25}
BROKEN = {**GOOD, "allowedIPs": ["10.5.0.1"]}
EMPTY = {"allowedIPs": [], "publicKey": KEY}


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    """A directory of its own, for the key files."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def server() -> LivingTransport:
    """A cluster with one peer, valid as yet."""
    return LivingTransport(peers={"laptop": GOOD})


def broken(server: LivingTransport, spec: dict[str, Any] | None = None) -> Listener:
    """Have an agent hear of the valid peer, and then make it invalid."""
    agent = Listener(server)
    server.put("laptop", BROKEN if spec is None else spec)
    agent.look()
    assert set(agent.known) == {KEY}, "it keeps what was valid last"
    return agent


def target(server: LivingTransport) -> Target:
    source = server.server()
    return Target(source, source.peers, sleep=lambda _seconds: None)


def remove(server: LivingTransport, **more: Any) -> None:
    remove_peers(target(server), ["laptop"], **more)


def change(server: LivingTransport, **given: Any) -> None:
    set_peer(target(server), "laptop", Changes(**given), "none", None)


def written(server: LivingTransport) -> list[tuple[str, Any]]:
    """Return the order of writes, each with the spec that it sent."""
    return [
        (request.method, json.loads(request.body or b"{}").get("spec"))
        for request in server.requests
        if request.method != "GET"
    ]


def test_the_imitated_agent_keeps_an_invalid_peer_that_is_deleted_otherwise(
    server: LivingTransport,
) -> None:
    agent = broken(server)
    del server.peers["laptop"]
    agent.look()
    assert set(agent.known) == {KEY}


def test_an_invalid_peer_is_made_valid_and_empty_and_then_deleted(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = broken(server)
    remove(server)
    assert written(server) == [("PUT", EMPTY), ("DELETE", None)]
    assert agent.known == {}
    said = capsys.readouterr()
    assert said.out == 'peer.kilo.squat.ai "laptop" deleted\n'
    assert said.err == (
        "laptop was invalid: it was made valid and empty first, so that agents remove it at once\n"
    )


def test_a_peer_that_only_kilo_accepts_is_just_deleted(server: LivingTransport) -> None:
    server.put("laptop", {**GOOD, "persistentKeepalive": 65536})
    agent = Listener(server)
    remove(server)
    assert written(server) == [("DELETE", None)]
    assert agent.known == {}


def test_a_valid_peer_is_just_deleted(server: LivingTransport) -> None:
    agent = Listener(server)
    remove(server)
    assert written(server) == [("DELETE", None)]
    assert agent.known == {}


@pytest.mark.parametrize("kind", ["client", "server"])
def test_a_dry_run_leaves_an_invalid_peer(server: LivingTransport, kind: str) -> None:
    broken(server)
    remove(server, dry_run=kind)
    assert server.spec("laptop") == BROKEN
    assert "PUT" not in server.writes()


@pytest.mark.parametrize("key", ["", "x", None, 7])
def test_without_a_key_agents_can_not_be_told(
    server: LivingTransport, capsys: pytest.CaptureFixture[str], key: Any
) -> None:
    broken(server, {**GOOD, "publicKey": key})
    remove(server)
    assert written(server) == [("DELETE", None)]
    said = capsys.readouterr().err
    assert "its public key cannot be read, so agents that knew it keep it" in said
    assert "rollout restart daemonset kilo" in said


def test_who_may_only_delete_does_so_and_is_told(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(server)

    def forbid(request: Request) -> Answer | None:
        return Answer(status_body("no", "Forbidden", 403), 403) if request.method == "PUT" else None

    server.before = forbid
    remove(server)
    assert server.peers == {}
    assert "it may not be changed, so agents that knew it keep it" in capsys.readouterr().err


def test_a_peer_that_is_changed_meanwhile_is_read_again(server: LivingTransport) -> None:
    agent = broken(server)

    def meddle(request: Request) -> None:
        if request.method == "PUT":
            server.before = lambda _request: None
            server.put("laptop", {**BROKEN, "persistentKeepalive": 7})

    server.before = meddle
    remove(server)
    assert [method for method, _ in written(server)] == ["PUT", "PUT", "DELETE"]
    assert agent.known == {}


def test_one_that_is_missing_is_missing(server: LivingTransport) -> None:
    with pytest.raises(MissingPeersError):
        remove_peers(target(server), ["phone"])
    assert server.requests[-1].path == f"{PEERS}/phone"


def test_a_corrected_peer_is_written_twice(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = broken(server)
    change(server, allowed_ips=["10.5.0.9/32"])
    wanted = {**GOOD, "allowedIPs": ["10.5.0.9/32"]}
    assert written(server) == [("PUT", wanted), ("PUT", wanted)]
    assert {str(cidr) for cidr in agent.known[KEY].allowed_ips} == {"10.5.0.9/32"}
    assert "annotations" not in server.peers["laptop"]["metadata"]
    assert "it was written twice" in capsys.readouterr().err


def test_agents_drop_the_old_key_of_a_peer_that_is_corrected(server: LivingTransport) -> None:
    agent = broken(server)
    change(server, allowed_ips=["10.5.0.9/32"], public_key=OTHER)
    assert [spec["publicKey"] for _, spec in written(server)] == [KEY, OTHER]
    assert set(agent.known) == {OTHER}


def test_an_unreadable_key_is_told_of(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = broken(server, {**GOOD, "publicKey": "x"})
    rotate_peer(target(server), "laptop", Renewal(public_key=OTHER))
    assert OTHER in agent.known
    assert "its old public key cannot be read: agents that knew it" in capsys.readouterr().err


def test_a_peer_that_only_kilo_accepts_is_corrected_by_one_write(server: LivingTransport) -> None:
    server.put("laptop", {**GOOD, "persistentKeepalive": 65536})
    agent = Listener(server)
    change(server, persistent_keepalive=9)
    assert written(server) == [("PUT", {**GOOD, "persistentKeepalive": 9})]
    assert agent.known[KEY].persistent_keepalive == 9


def test_a_valid_peer_is_written_once(server: LivingTransport) -> None:
    agent = Listener(server)
    change(server, persistent_keepalive=9)
    assert written(server) == [("PUT", {**GOOD, "persistentKeepalive": 9})]
    assert agent.known[KEY].persistent_keepalive == 9


@pytest.mark.parametrize("which", [1, 2])
def test_a_lost_answer_ends_with_agents_that_heard(server: LivingTransport, which: int) -> None:
    """The write whose answer is lost is not carried out; it is found out, and written again."""
    agent = broken(server)
    writes = []

    def lose(request: Request) -> Exception | None:
        if request.method == "PUT":
            writes.append(request)
            if len(writes) == which:
                return ConnectionLostError("broken off")
        return None

    server.before = lose
    with contextlib.suppress(ConnectionLostError):  # of the first write nothing is there: tell it
        change(server, allowed_ips=["10.5.0.9/32"])
    if which == 1:
        assert server.spec("laptop") == BROKEN
        change(server, allowed_ips=["10.5.0.9/32"])
    assert {str(cidr) for cidr in agent.known[KEY].allowed_ips} == {"10.5.0.9/32"}
    assert MARK not in server.peers["laptop"]["metadata"].get("annotations", {})


def test_an_endpoint_that_is_taken_away_leaves_a_keepalive(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = {"dnsOrIP": {"ip": "203.0.113.1"}, "port": 7}
    server.put("laptop", {**GOOD, "persistentKeepalive": 0, "endpoint": endpoint})
    change(server, endpoint="")
    assert server.spec("laptop") == GOOD
    assert "persistentKeepalive: 0 -> 25" in capsys.readouterr().err


def test_host_bits_are_masked_and_told_of(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    change(server, allowed_ips=["10.9.0.7/24,fd00::7/64"])
    assert server.spec("laptop")["allowedIPs"] == ["10.9.0.0/24", "fd00::/64"]
    said = capsys.readouterr().err
    assert "10.9.0.7/24 means the network 10.9.0.0/24, so the peer gets that" in said
    assert "for the address alone give fd00::7/128" in said
