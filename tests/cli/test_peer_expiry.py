"""Peers that expire: ``--expires``, what is left out, and ``peer prune``."""

from __future__ import annotations

import contextlib
import json
import time
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.cli.commands.peer_add import NewPeer, add_peer
from kgctl.cli.commands.peer_change import Changes, set_peer
from kgctl.cli.commands.peer_prune import ClockError, prune_peers
from kgctl.cli.commands.peer_target import Target
from kgctl.mesh.text import time_text
from kgctl.state.peer_settings import parse_time
from tests.support.commands import fails, run
from tests.support.living import LivingTransport
from tests.support.recorded import kgctl
from tests.support.several import node, peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.memory import Answer, Request

NOW = 1_700_000_000.0
EXPIRES = "kgctl.dev/expires"
PAST, FUTURE = "2020-01-01T00:00:00Z", "2999-01-31T12:00:00Z"
KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        yield tmp_path


# --- in a folder ---


@pytest.fixture
def net(here: Path) -> Path:
    """A network: "hub" can be called, the time of "guest" is over, that of "laptop" is not."""
    run("init", "net", "--pool", "10.73.5.0/24")
    run("peer", "add", "hub", "--endpoint", "192.0.2.1:51820", "-f", "net")
    run("peer", "add", "guest", "-f", "net")
    run("peer", "add", "laptop", "--expires", "2999-01-31", "-f", "net")
    run("peer", "set", "guest", "--expires", PAST, "-f", "net")
    return here / "net"


def expires(name: str) -> str | None:
    metadata = yaml.safe_load(Path("net", f"{name}.yaml").read_text())["metadata"]
    found: str | None = metadata.get("annotations", {}).get(EXPIRES)
    return found


def test_an_end_is_written_as_a_time(net: Path) -> None:
    assert expires("laptop") == "2999-01-31T00:00:00Z"
    before = int(time.time())
    run("peer", "set", "laptop", "--expires", "30d", "-f", "net")
    end = parse_time(expires("laptop") or "")
    assert end is not None
    assert 0 <= end - before - 30 * 86400 < 60
    run("peer", "set", "laptop", "--expires", "", "-f", "net")
    assert expires("laptop") is None


def test_an_end_that_is_none_or_over_adds_nobody(net: Path) -> None:
    assert "is in the past" in fails("peer", "add", "x", "--expires", "2020-01-01", "-f", "net")
    assert "such as 30d" in fails("peer", "add", "x", "--expires", "soon\x1b", "-f", "net")
    assert "such as 30d" in fails("peer", "set", "hub", "--expires", "1y", "-f", "net")
    assert not (net / "x.yaml").exists()
    assert not (net / "keys" / "x.key").exists()


def test_who_has_expired_is_left_out_of_all_files(net: Path) -> None:
    Path("out").mkdir()
    done = kgctl("showconf", "--all", "-d", "out", "-f", "net")
    assert done.code == 0
    assert f"guest: expired {PAST}, so it gets no file and is in no other one\n" in done.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == ["hub.conf", "laptop.conf"]
    assert "10.73.5.2" not in Path("out", "hub.conf").read_text()
    assert "10.73.5.2" not in run("showconf", "peer", "hub", "-f", "net")
    assert "guest" not in run("graph", "-f", "net")
    early = run("showconf", "peer", "hub", "-f", "net", "--at", "2019-12-31T23:59:59Z")
    assert "10.73.5.2/32" in early


def test_its_own_file_is_an_error_that_says_what_to_do(net: Path) -> None:
    for form in ((), ("-o", "wg-quick"), ("--as-peer",)):
        said = fails("showconf", "peer", "guest", *form, "-f", "net")
        assert f'peer "guest" takes no part in the network: expired {PAST}' in said
        assert "kgctl peer set guest --expires 30d" in said
    assert "expired" in kgctl("path", "guest", "hub", "-f", "net").stderr


def test_lists_show_the_end(net: Path) -> None:
    assert f"no: expired {PAST}" in run("get", "peers", "-f", "net")
    (one,) = [
        one for one in json.loads(run("get", "peers", "-o", "json", "-f", "net"))["items"]
        if one["name"] == "guest"
    ]  # fmt: skip
    assert (one["expires"], one["ready"], one["reasons"]) == (PAST, False, [f"expired {PAST}"])
    wide = run("get", "peers", "-o", "wide", "-f", "net")
    assert "EXPIRES" in wide
    assert "2999-01-31T00:00:00Z" in wide
    found = json.loads(kgctl("check", "-o", "json", "-f", "net").stdout)["findings"]
    assert [one["name"] for one in found if one["code"] == "KG418"] == ["guest"]


def test_an_address_stays_until_the_peer_is_removed(net: Path) -> None:
    run("peer", "add", "tv", "-f", "net")
    assert yaml.safe_load((net / "tv.yaml").read_text())["spec"]["allowedIPs"] == ["10.73.5.4/32"]
    run("peer", "prune", "-f", "net")
    run("peer", "add", "phone", "-f", "net")
    spec = yaml.safe_load((net / "phone.yaml").read_text())["spec"]
    assert spec["allowedIPs"] == ["10.73.5.2/32"]


def test_prune_removes_who_has_expired_and_names_the_key(net: Path) -> None:
    before = sorted(path.name for path in net.iterdir())
    assert run("peer", "prune", "--dry-run", "-f", "net") == 'peer "guest" deleted (dry run)\n'
    assert run("peer", "prune", "--older-than", "5000w", "-f", "net") == ""
    assert sorted(path.name for path in net.iterdir()) == before
    done = kgctl("peer", "prune", "--older-than", "1w", "-f", "net")
    assert done.stdout == 'peer "guest" deleted\n'
    assert "its private key stays in net/keys/guest.key" in done.stderr
    assert f"guest expired {PAST}" in done.stderr
    assert not (net / "guest.yaml").exists()
    assert (net / "laptop.yaml").exists()
    again = kgctl("peer", "prune", "-f", "net")
    assert (again.code, again.stdout, again.stderr) == (0, "", "no peer has expired\n")
    assert "--older-than" in fails("peer", "prune", "--older-than", "old", "-f", "net")


# --- in a cluster ---


def manifests(*objects: dict[str, Any]) -> str:
    Path("cluster.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    )
    return "cluster.json"


@pytest.mark.parametrize(
    "command",
    [
        ("graph",),
        ("showconf", "node", "a1"),
        ("showconf", "peer", "laptop"),
        ("showconf", "peer", "laptop", "-o", "wg-quick"),
        ("get", "segments", "-o", "json"),
        ("path", "laptop", "a1", "-o", "json"),
    ],
    ids=" ".join,
)
def test_a_cluster_is_as_if_who_has_expired_were_not_there(command: tuple[str, ...]) -> None:
    laptop, guest = peer("laptop", "10.5.0.1/32"), peer("guest", "10.5.0.2/32")
    for one in (laptop, guest):
        one["spec"]["persistentKeepalive"] = 25
    nodes = [node("a1", 1, 1, "a"), node("b1", 1, 2, "b")]
    guest["metadata"]["annotations"] = {EXPIRES: time_text(1000)}
    answers = []
    for objects in ([*nodes, laptop, guest], [*nodes, laptop]):
        done = kgctl("-f", manifests(*objects), "--at", "newest", *command)
        assert done.code == 0, done.stderr
        answers.append(done.stdout)
    assert answers[0] == answers[1]
    guest["metadata"]["annotations"] = {EXPIRES: FUTURE}
    more = kgctl("-f", manifests(*nodes, laptop, guest), "--at", "newest", *command).stdout
    assert (more == answers[0]) == (command[0] in ("get", "path"))


class Server(LivingTransport):
    """An API server whose clock is ``ahead`` so many seconds."""

    ahead = 0.0

    def request(self, *given: Any) -> Answer:
        found = super().request(*given)
        found.headers["date"] = formatdate(time.time() + self.ahead, usegmt=True)
        return found


@pytest.fixture
def server() -> Server:
    made = Server({"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.42.0.0/24"}}, peers={})
    for number, (name, end) in enumerate(
        {"old": NOW - 90 * 86400, "new": NOW - 60, "now": NOW, "later": NOW + 1}.items(), 1
    ):
        made.put(name, _spec(number), {EXPIRES: time_text(int(end)), "note": "kept"})
    made.put("bad", _spec(8), {EXPIRES: "yesterday"})
    made.put("office", _spec(9))
    return made


def _spec(number: int) -> dict[str, Any]:
    return {
        "allowedIPs": [f"10.5.0.{number}/32"],
        "publicKey": KEY.replace("Y", "ABCDEFGHI"[number - 1]),
        "persistentKeepalive": 25,
    }


def _target(server: Server) -> Target:
    source = server.server()
    return Target(source, source.peers, sleep=lambda _seconds: None)


def test_prune_deletes_just_what_has_expired(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    prune_peers(_target(server), None, dry_run=True, now=NOW)
    assert server.writes() == []
    assert capsys.readouterr().out.count("deleted (dry run)\n") == 3
    prune_peers(_target(server), "7d", dry_run=False, now=NOW)
    assert sorted(server.peers) == ["bad", "later", "new", "now", "office"]
    prune_peers(_target(server), None, dry_run=False, now=NOW)
    assert sorted(server.peers) == ["bad", "later", "office"]
    assert 'peer.kilo.squat.ai "now" deleted\n' in capsys.readouterr().out


def test_who_gets_more_time_meanwhile_stays(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def extend(request: Request) -> None:
        if request.method == "GET" and request.path.endswith("/new"):
            server.put("new", _spec(2), {EXPIRES: FUTURE})

    server.before = extend
    prune_peers(_target(server), None, dry_run=False, now=NOW)
    assert sorted(server.peers) == ["bad", "later", "new", "office"]
    assert "new stays: it got more time meanwhile" in capsys.readouterr().err


def test_who_is_deleted_meanwhile_is_no_error(server: Server) -> None:
    def gone(request: Request) -> None:
        if request.method == "GET" and request.path.endswith("/old"):
            server.peers.pop("old", None)

    server.before = gone
    prune_peers(_target(server), None, dry_run=False, now=NOW)
    assert sorted(server.peers) == ["bad", "later", "office"]


def test_an_invalid_peer_is_made_empty_first(server: Server) -> None:
    server.put("old", {**_spec(1), "allowedIPs": ["10.5.0.1"]}, {EXPIRES: PAST})
    prune_peers(_target(server), None, dry_run=False, now=NOW)
    assert server.writes() == [
        "DELETE",
        "DELETE",
        "PUT",
        "DELETE",
    ]  # new, now, and old in two steps
    assert "old" not in server.peers


@pytest.mark.parametrize("ahead", [3630.0, -3630.0])
def test_a_clock_that_differs_from_the_server_s_deletes_nothing(
    server: Server, ahead: float
) -> None:
    server.ahead = ahead
    with pytest.raises(ClockError, match="this machine's clock is 60m"):
        prune_peers(_target(server), None, dry_run=False, now=NOW)
    assert server.writes() == []


def test_the_annotation_is_set_and_what_kilo_does_not_know_is_said(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    new = NewPeer("guest", public_key=KEY, settings={EXPIRES: FUTURE})
    add_peer(_target(server), new, "none", None)
    assert server.peers["guest"]["metadata"]["annotations"] == {EXPIRES: FUTURE}
    said = capsys.readouterr().err
    assert f"it expires: {FUTURE}\n" in said
    assert "Kilo's own agents do not know this annotation" in said
    set_peer(_target(server), "later", Changes(settings={EXPIRES: FUTURE}), "none", None)
    assert server.peers["later"]["metadata"]["annotations"] == {EXPIRES: FUTURE, "note": "kept"}
    assert f"expires: {time_text(int(NOW) + 1)} -> {FUTURE}\n" in (said := capsys.readouterr().err)
    assert "Kilo's own agents do not know this annotation" in said
    set_peer(_target(server), "later", Changes(settings={EXPIRES: None}), "none", None)
    assert server.peers["later"]["metadata"]["annotations"] == {"note": "kept"}
    assert "Kilo's own agents" not in capsys.readouterr().err
