"""``kgctl peer set``, ``rotate`` and ``rm`` against an API server in memory."""

from __future__ import annotations

import contextlib
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.cli.commands.peer_change import Changes, Renewal, rotate_peer, set_peer
from kgctl.cli.commands.peer_remove import MissingPeersError, remove_peers
from kgctl.cli.commands.peer_target import Target
from kgctl.cli.core.arguments import UsageError
from kgctl.edit.enrolment import ATTEMPTS, InUseError
from kgctl.edit.peer_writes import UnfinishedError
from kgctl.errors import (
    ConflictError,
    ConnectionLostError,
    KgctlError,
    NotFoundError,
)
from kgctl.state.interface import PeersNotServedError
from kgctl.wireguard.keys import read_preshared_key, read_private_key
from tests.support.living import LivingTransport
from tests.support.memory import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
OTHER = "Ep30BHFGgnVTJo7PxrPRFPLNqWdA7mCfSsKpGIoMyEI="
THIRD = "3Zc1/uTkmR6zTA2wOGRHsjK3QXXDd3ZA7cSjCSGdpUs="
SECRET = "6H279hjgTPSDUjl110oRAXtMDHwfHCOu2eDvljz5N2Y="
NODE = {"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.42.0.0/24"}}
LAPTOP: dict[str, Any] = {
    "allowedIPs": ["10.5.0.1/32"],
    "publicKey": KEY,
    "presharedKey": SECRET,
    "persistentKeepalive": 25,
    "endpoint": {"dnsOrIP": {"dns": "laptop.example"}, "port": 5},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    """A directory of its own, for the key files."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def server() -> LivingTransport:
    peers = {"laptop": LAPTOP, "phone": {"allowedIPs": ["10.5.0.2/32"], "publicKey": OTHER}}
    return LivingTransport(NODE, peers=peers)


def _files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def _target(server: LivingTransport) -> Target:
    source = server.server()
    return Target(source, source.peers, sleep=lambda _seconds: None)


def _set(
    server: LivingTransport,
    name: str = "laptop",
    *,
    dry_run: str = "none",
    output: str | None = None,
    **given: Any,
) -> None:
    set_peer(_target(server), name, Changes(**given), dry_run, output)


def _rotate(server: LivingTransport, name: str = "laptop", **given: Any) -> None:
    rotate_peer(_target(server), name, Renewal(**given))


def _meddle_once(server: LivingTransport, change: dict[str, Any]) -> None:
    """Have somebody else change the laptop just before the first write arrives."""

    def meddle(request: Request) -> None:
        if request.method == "PUT":
            server.before = lambda _request: None
            server.put("laptop", {**server.spec("laptop"), **change})

    server.before = meddle


# --- set ---


@pytest.mark.parametrize(
    ("given", "changed", "said"),
    [
        (
            {"allowed_ips": ["10.5.0.9/32,fd00::9/128"]},
            {"allowedIPs": ["10.5.0.9/32", "fd00::9/128"]},
            "allowedIPs: 10.5.0.1/32 -> 10.5.0.9/32,fd00::9/128\n",
        ),
        ({"public_key": THIRD}, {"publicKey": THIRD}, f"publicKey: {KEY} -> {THIRD}\n"),
        (
            {"endpoint": "203.0.113.1:7"},
            {"endpoint": {"dnsOrIP": {"ip": "203.0.113.1"}, "port": 7}},
            "endpoint: laptop.example port 5 -> 203.0.113.1 port 7\n",
        ),
        ({"endpoint": ""}, {"endpoint": None}, "endpoint: laptop.example port 5 -> none\n"),
        (
            {"persistent_keepalive": 0},
            {"persistentKeepalive": 0},
            "persistentKeepalive: 25 -> 0\n",
        ),
        (
            {"persistent_keepalive": 25},
            {"persistentKeepalive": 25},
            "persistentKeepalive: 25, unchanged\n",
        ),
        (
            {"remove_preshared_key": True},
            {"presharedKey": None},
            "presharedKey: (a key that is not shown) -> none\n",
        ),
    ],
)
def test_only_what_is_given_changes(
    server: LivingTransport,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, Any],
    changed: dict[str, Any],
    said: str,
) -> None:
    _set(server, **given)
    expected = {**LAPTOP, **changed}
    assert server.spec("laptop") == {k: v for k, v in expected.items() if v is not None}
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("peer.kilo.squat.ai/laptop configured\n", said)


def test_a_preshared_key_is_read_from_a_file_or_written_into_one(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("given.psk").write_text(THIRD)
    _set(server, preshared_key_file=Path("given.psk"))
    assert server.spec("laptop")["presharedKey"] == THIRD
    _set(server, new_preshared_key=True)
    made = read_preshared_key(Path("laptop.psk")).reveal()
    assert server.spec("laptop")["presharedKey"] == made
    _set(server, new_preshared_key=True)
    assert _files() == ["given.psk", "laptop-2.psk", "laptop.psk"]
    printed = capsys.readouterr()
    assert "its preshared key is in laptop-2.psk" in printed.err
    for key in (SECRET, THIRD, made):
        assert key not in printed.out + printed.err


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "nothing to change"),
        ({"allowed_ips": ["10.42.0.9/32"]}, "overlaps 10.42.0.0/24, the pod subnet of node n1"),
        ({"allowed_ips": ["10.5.0.0/30"]}, "overlaps 10.5.0.2/32, an allowed IP of peer phone"),
        ({"allowed_ips": ["10.5.0.2"]}, "is not a CIDR"),
        ({"allowed_ips": [""]}, "--allowed-ips is empty"),
        ({"allowed_ips": ["10.43.0.1/32"], "service_cidrs": ["10.43.0.0/16"]}, "service network"),
        ({"public_key": OTHER}, "belongs to peer phone"),
        ({"public_key": "x"}, "--public-key is not a WireGuard key"),
        ({"endpoint": "x"}, '--endpoint "x" is not HOST:PORT'),
        ({"endpoint": "1.2.3.4:0"}, "is not HOST:PORT"),
        ({"persistent_keepalive": -1}, "must be 0 to 65535"),
        ({"persistent_keepalive": 0, "endpoint": ""}, "without an endpoint needs a keepalive"),
        ({"new_preshared_key": True, "remove_preshared_key": True}, "conflicts with"),
        ({"preshared_key_file": Path("no.psk")}, r"cannot read the preshared key no\.psk"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(
    server: LivingTransport, given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(KgctlError, match=complaint) as raised:
        _set(server, **given)
    assert "\n" not in str(raised.value)
    assert server.writes() == []
    assert _files() == []


def test_force_takes_what_is_in_use(server: LivingTransport) -> None:
    _set(server, allowed_ips=["10.5.0.2/32"], public_key=OTHER, force=True)
    assert server.spec("laptop")["allowedIPs"] == ["10.5.0.2/32"]


def test_its_own_addresses_and_key_are_not_in_its_way(server: LivingTransport) -> None:
    _set(server, allowed_ips=["10.5.0.1/32"], public_key=KEY)
    assert server.spec("laptop") == LAPTOP


def test_a_change_of_another_meanwhile_is_kept(server: LivingTransport) -> None:
    _meddle_once(server, {"persistentKeepalive": 7})
    _set(server, endpoint="")
    assert server.spec("laptop")["persistentKeepalive"] == 7
    assert "endpoint" not in server.spec("laptop")
    assert server.writes() == ["PUT", "PUT"]


def test_a_peer_that_changes_all_the_time_is_given_up(server: LivingTransport) -> None:
    def meddle(request: Request) -> None:
        if request.method == "PUT":
            server.put("laptop", server.spec("laptop"))

    server.before = meddle
    with pytest.raises(ConflictError, match="has been modified"):
        _set(server, endpoint="", new_preshared_key=True)
    assert server.writes() == ["PUT"] * ATTEMPTS
    assert _files() == []


def test_addresses_that_another_takes_at_the_same_time_are_given_back(
    server: LivingTransport,
) -> None:
    def claim(request: Request) -> None:
        if request.method == "PUT":
            server.after = lambda _request: None
            server.put("rival", {"allowedIPs": ["10.5.0.7/32"], "publicKey": THIRD})

    server.after = claim
    with pytest.raises(InUseError, match="peer rival, added at the same time; the old"):
        _set(server, allowed_ips=["10.5.0.7/32"], persistent_keepalive=9)
    assert server.spec("laptop") == {**LAPTOP, "persistentKeepalive": 9}


@pytest.mark.parametrize("kind", ["client", "server"])
def test_a_dry_run_changes_nothing(
    server: LivingTransport, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    _set(server, dry_run=kind, output="yaml", endpoint="", new_preshared_key=True)
    printed = yaml.safe_load(capsys.readouterr().out)
    assert "endpoint" not in printed["spec"]
    assert server.spec("laptop") == LAPTOP
    assert server.writes() == ([] if kind == "client" else ["PUT"])
    assert _files() == []
    with pytest.raises(InUseError):
        _set(server, dry_run=kind, allowed_ips=["10.5.0.2/32"])


@pytest.mark.parametrize("spec", [None, {}, [], {"publicKey": "x"}])
def test_a_peer_that_stays_invalid_is_refused_with_the_field(
    server: LivingTransport, spec: Any
) -> None:
    server.peers["odd"] = {"metadata": {"name": "odd", "uid": "u"}, "spec": spec}
    with pytest.raises(UsageError, match="the peer would be invalid: publicKey"):
        _set(server, "odd", persistent_keepalive=1)
    assert server.writes() == []


def test_what_the_cluster_says_does_not_act_on_the_terminal(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;x\x07\n"
    endpoint = {"dnsOrIP": {"dns": evil}, "port": evil}
    server.put("laptop", {**LAPTOP, "allowedIPs": [evil], "endpoint": endpoint})
    _set(server, allowed_ips=["10.5.0.1/32"], endpoint="")
    said = capsys.readouterr().err
    assert said.count("\n") == 3
    assert said.replace("\n", "").isprintable()


# --- rotate ---


def test_new_keys_keep_everything_else(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    _rotate(server)
    key = read_private_key(Path("laptop.key"))
    assert stat.S_IMODE(Path("laptop.key").stat().st_mode) == 0o600
    after = server.spec("laptop")
    assert after["publicKey"] == str(key.public_key())
    assert after["presharedKey"] not in (SECRET, "")
    assert {**after, "publicKey": KEY, "presharedKey": SECRET} == LAPTOP
    printed = capsys.readouterr()
    assert printed.out == "peer.kilo.squat.ai/laptop rotated\n"
    assert printed.err.endswith(
        "its private key is in laptop.key\n"
        "next: kgctl showconf peer laptop -o wg-quick --private-key laptop.key\n"
    )
    for secret in (SECRET, after["presharedKey"], key.reveal()):
        assert secret not in printed.err + printed.out


def test_the_file_of_the_old_key_is_left_alone(server: LivingTransport) -> None:
    Path("laptop.key").write_text("old")
    Path("laptop-2.key").symlink_to("nowhere")
    _rotate(server)
    assert Path("laptop.key").read_text() == "old"
    assert _files() == ["laptop-2.key", "laptop-3.key", "laptop.key"]


def test_the_preshared_key_can_stay_or_go_into_a_file(server: LivingTransport) -> None:
    _rotate(server, keep_preshared_key=True)
    assert server.spec("laptop")["presharedKey"] == SECRET
    _rotate(server, preshared_key_file=Path("new.psk"))
    assert read_preshared_key(Path("new.psk")).reveal() == server.spec("laptop")["presharedKey"]
    _rotate(server, "phone")
    assert "presharedKey" not in server.spec("phone")
    with pytest.raises(UsageError, match="kgctl peer set phone --preshared-key"):
        _rotate(server, "phone", preshared_key_file=Path("phone.psk"))


def test_a_public_key_that_was_made_elsewhere_makes_no_file(server: LivingTransport) -> None:
    _rotate(server, public_key=THIRD)
    assert server.spec("laptop")["publicKey"] == THIRD
    with pytest.raises(InUseError):
        _rotate(server, public_key=OTHER)
    with pytest.raises(UsageError, match="--private-key-file is for a new key"):
        _rotate(server, public_key=OTHER, private_key_file=Path("x"))
    assert _files() == []


def test_a_peer_that_is_not_there_gets_no_key(server: LivingTransport) -> None:
    with pytest.raises(NotFoundError):
        _rotate(server, "nobody")
    assert _files() == []


def test_a_change_of_another_is_kept_while_keys_are_renewed(server: LivingTransport) -> None:
    _meddle_once(server, {"allowedIPs": ["10.5.0.77/32"]})
    _rotate(server)
    assert server.spec("laptop")["allowedIPs"] == ["10.5.0.77/32"]
    assert server.spec("laptop")["publicKey"] == str(
        read_private_key(Path("laptop.key")).public_key()
    )


@pytest.mark.parametrize("back", [True, False])
def test_the_new_key_is_never_lost_where_the_cluster_has_it(
    server: LivingTransport, back: bool
) -> None:
    def lose(request: Request) -> Exception | None:
        written = any(one.method == "PUT" for one in server.requests)
        if request.method == "PUT" or (written and not back):
            return ConnectionLostError("lost")
        return None

    server.after = lose
    with contextlib.nullcontext() if back else pytest.raises(UnfinishedError):
        _rotate(server)
    key = read_private_key(Path("laptop.key"))
    assert server.spec("laptop")["publicKey"] == str(key.public_key())


# --- rm ---


def test_peers_are_removed_one_by_one(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MissingPeersError, match=r'no peer named "x", "\.\./y"'):
        remove_peers(_target(server), ["x", "laptop", "../y", "phone"])
    assert capsys.readouterr().out == (
        'peer.kilo.squat.ai "laptop" deleted\npeer.kilo.squat.ai "phone" deleted\n'
    )
    assert server.peers == {}
    remove_peers(_target(server), ["x", "", ".."], ignore_not_found=True)


@pytest.mark.parametrize(("kind", "behind"), [("client", "dry run"), ("server", "server dry run")])
def test_a_dry_run_removes_nothing(
    server: LivingTransport, capsys: pytest.CaptureFixture[str], kind: str, behind: str
) -> None:
    remove_peers(_target(server), ["laptop"], dry_run=kind)
    remove_peers(_target(server), ["laptop"], dry_run=kind, output="name")
    assert capsys.readouterr().out == (
        f'peer.kilo.squat.ai "laptop" deleted ({behind})\npeer.kilo.squat.ai/laptop\n'
    )
    assert set(server.peers) == {"laptop", "phone"}
    with pytest.raises(MissingPeersError):
        remove_peers(_target(server), ["x"], dry_run=kind)


def test_a_cluster_without_kilo_is_no_missing_peer(server: LivingTransport) -> None:
    server.before = lambda _request: Answer("404 page not found", 404, kind="text/plain")
    with pytest.raises(PeersNotServedError):
        remove_peers(_target(server), ["laptop"], ignore_not_found=True)


def test_another_output_is_refused(server: LivingTransport) -> None:
    with pytest.raises(UsageError, match='--output "yaml" is unknown; give name'):
        remove_peers(_target(server), ["laptop"], output="yaml")
    assert server.requests == []


def test_a_json_object_is_what_is_sent(server: LivingTransport) -> None:
    _set(server, endpoint="")
    (put,) = [request for request in server.requests if request.method == "PUT"]
    sent = json.loads(put.body or b"")
    assert sent["metadata"]["resourceVersion"] == "1"
    assert sent["kind"] == "Peer"
