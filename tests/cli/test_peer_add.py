"""``kgctl peer add`` against an API server in memory, with concurrent writers."""

from __future__ import annotations

import contextlib
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.cli.commands.peer_add import NewPeer, PeerExistsError, add_peer
from kgctl.cli.commands.peer_adopt import adopted
from kgctl.cli.commands.peer_target import Target
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.hints import message
from kgctl.edit.enrolment import ATTEMPTS, InUseError
from kgctl.edit.peer_writes import UnfinishedError
from kgctl.errors import (
    ClusterError,
    ConflictError,
    ConnectionLostError,
    ForbiddenError,
    KgctlError,
    RequestTimeoutError,
)
from kgctl.wireguard.keys import KeyFileError, PrivateKey, read_preshared_key, read_private_key
from tests.support.living import PEERS, LivingTransport
from tests.support.memory import Answer, Request, status_body

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
OTHER = "Ep30BHFGgnVTJo7PxrPRFPLNqWdA7mCfSsKpGIoMyEI="
SECRET = "6H279hjgTPSDUjl110oRAXtMDHwfHCOu2eDvljz5N2Y="
NODE = {
    "metadata": {"name": "n1", "annotations": {"kilo.squat.ai/internal-ip": "10.5.0.2/24"}},
    "spec": {"podCIDR": "10.42.0.0/24"},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    """A directory of its own, for the key files."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def server() -> LivingTransport:
    """A cluster with a node that has 10.5.0.2, and the peer "old" that has 10.5.0.1."""
    return LivingTransport(NODE, peers={"old": {"allowedIPs": ["10.5.0.1/32"], "publicKey": OTHER}})


def _files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def _target(server: LivingTransport, *options: str) -> Target:
    source = server.server()
    return Target(source, source.peers, options, sleep=lambda _seconds: None)


def _add(
    server: LivingTransport,
    name: str = "laptop",
    *,
    dry_run: str = "none",
    output: str | None = None,
    **given: Any,
) -> None:
    add_peer(_target(server), NewPeer(name, **given), dry_run, output)


def _rival(server: LivingTransport, *names: str) -> None:
    """Have others claim whatever address is written, as often as there are names."""
    waiting = list(names)

    def claim(request: Request) -> None:
        if request.method in ("POST", "PUT") and waiting:
            spec = json.loads(request.body or b"")["spec"]
            server.put(waiting.pop(0), {"allowedIPs": spec["allowedIPs"], "publicKey": OTHER})

    server.after = claim


def test_a_peer_gets_a_key_pair_an_address_and_a_keepalive(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    _add(server)
    key = read_private_key(Path("laptop.key"))
    assert stat.S_IMODE(Path("laptop.key").stat().st_mode) == 0o600
    assert server.spec("laptop") == {
        "allowedIPs": ["10.5.0.3/32"],
        "persistentKeepalive": 25,
        "publicKey": str(key.public_key()),
    }
    said = capsys.readouterr()
    assert said.out == "peer.kilo.squat.ai/laptop created\n"
    assert said.err.splitlines() == [
        "laptop has 10.5.0.3/32 and a keepalive of 25 s, since it has no endpoint and may be "
        "behind NAT",
        "its private key is in laptop.key",
        "next: kgctl showconf peer laptop -o wg-quick --private-key laptop.key",
    ]
    sent = b"".join(request.body or b"" for request in server.requests)
    assert key.reveal().encode() not in sent
    assert key.reveal() not in said.out + said.err


def test_peers_are_read_again_from_the_store_and_not_from_a_cache(server: LivingTransport) -> None:
    _add(server)
    created = [request.method for request in server.requests].index("POST")
    (again,) = [r for r in server.requests[created:] if r.method == "GET" and r.path == PEERS]
    assert "resourceVersion" not in again.query


def test_what_is_given_is_taken(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("given.psk").write_text(f"{SECRET}\n")
    _add(
        server, allowed_ips=["10.9.0.0/24,fd00::9/128"], public_key=KEY,
        preshared_key_file=Path("given.psk"), endpoint="[2001:db8::1]:51820",
    )  # fmt: skip
    assert server.spec("laptop") == {
        "allowedIPs": ["10.9.0.0/24", "fd00::9/128"],
        "endpoint": {"dnsOrIP": {"ip": "2001:db8::1"}, "port": 51820},
        "presharedKey": SECRET,
        "publicKey": KEY,
    }
    said = capsys.readouterr().err
    assert "no keepalive, since the nodes can dial its endpoint" in said
    assert said.endswith("next: kgctl showconf peer laptop -o wg-quick\n")
    assert SECRET not in said
    assert _files() == ["given.psk"]


def test_a_new_preshared_key_is_in_the_peer_and_in_a_file(server: LivingTransport) -> None:
    _add(server, new_preshared_key=True)
    assert read_preshared_key(Path("laptop.psk")).reveal() == server.spec("laptop")["presharedKey"]
    assert stat.S_IMODE(Path("laptop.psk").stat().st_mode) == 0o600
    _add(server, "b", new_preshared_key=True, preshared_key_file=Path("b2.psk"))
    assert _files() == ["b.key", "b2.psk", "laptop.key", "laptop.psk"]


def test_what_others_will_refuse_is_said(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    _add(server, allowed_ips=["10.9.0.0/24,198.51.100.0/24"], public_key=KEY)
    assert (
        "machines that join by kgctl will refuse 198.51.100.0/24: that holds public addresses, "
        "until they join with --accept laptop=198.51.100.0/24\n"
    ) in capsys.readouterr().err


def test_pools_are_used_one_by_one(server: LivingTransport) -> None:
    _add(server, pools=["10.42.0.0/23", "fd00:5::/64,fd00:5::/64"])
    assert server.spec("laptop")["allowedIPs"] == ["10.42.1.0/32", "fd00:5::1/128", "fd00:5::2/128"]


def test_a_learned_pool_that_is_full_gives_way_to_the_next(server: LivingTransport) -> None:
    server.put("all", {"allowedIPs": ["10.5.0.0/24"], "publicKey": KEY})
    server.put("some", {"allowedIPs": ["10.7.7.1/32"], "publicKey": SECRET})
    _add(server)
    assert server.spec("laptop")["allowedIPs"] == ["10.7.7.2/32"]


def test_the_readable_addresses_of_an_invalid_peer_are_taken(server: LivingTransport) -> None:
    server.put("broken", {"allowedIPs": ["10.5.0.3/32", "nonsense"], "publicKey": "?"})
    _add(server)
    assert server.spec("laptop")["allowedIPs"] == ["10.5.0.4/32"]


@pytest.mark.parametrize("rivals", [1, 3])
def test_who_finds_its_address_claimed_takes_another(server: LivingTransport, rivals: int) -> None:
    _rival(server, *(f"rival-{number}" for number in range(rivals)))
    _add(server)
    claimed = [peer["spec"]["allowedIPs"][0] for peer in server.peers.values()]
    assert len(set(claimed)) == len(claimed) == rivals + 2
    assert server.writes() == ["POST", *["PUT"] * rivals]


def test_who_finds_it_claimed_every_time_gives_up_and_leaves_nothing(
    server: LivingTransport,
) -> None:
    _rival(server, *(f"rival-{number}" for number in range(ATTEMPTS + 5)))
    with pytest.raises(InUseError, match=r"others took each address .* for laptop; it was removed"):
        _add(server)
    assert "laptop" not in server.peers
    assert server.writes() == ["POST", *["PUT"] * ATTEMPTS, "DELETE"]
    assert _files() == []


def test_a_given_address_that_is_claimed_at_the_same_time_is_not_kept(
    server: LivingTransport,
) -> None:
    _rival(server, "rival")
    with pytest.raises(InUseError, match="an allowed IP of peer rival, added at the same"):
        _add(server, allowed_ips=["10.9.0.1/32"])
    assert set(server.peers) == {"old", "rival"}
    assert _files() == []


def test_force_takes_what_is_in_use(server: LivingTransport) -> None:
    _add(server, allowed_ips=["10.5.0.1/32"], public_key=OTHER, force=True)
    assert server.spec("laptop")["allowedIPs"] == ["10.5.0.1/32"]


def test_what_another_changes_while_addresses_move_stays(server: LivingTransport) -> None:
    _rival(server, "rival")

    def meddle(request: Request) -> None:
        if request.method == "PUT":
            server.before = lambda _request: None
            server.put("laptop", {**server.spec("laptop"), "persistentKeepalive": 7})

    server.before = meddle
    _add(server)
    assert server.spec("laptop")["persistentKeepalive"] == 7
    assert server.spec("laptop")["allowedIPs"] != server.spec("rival")["allowedIPs"]


def test_a_peer_that_another_made_anew_is_not_touched(server: LivingTransport) -> None:
    _rival(server, "rival")

    def replace(request: Request) -> None:
        if request.method == "PUT":
            server.before = lambda _request: None
            del server.peers["laptop"]
            server.put("laptop", {"allowedIPs": ["10.77.0.1/32"], "publicKey": KEY})

    server.before = replace
    with pytest.raises(ConflictError):
        _add(server)
    assert server.spec("laptop")["publicKey"] == KEY
    assert _files() == []


def test_an_answer_that_was_lost_is_looked_for(server: LivingTransport) -> None:
    def lose(request: Request) -> Exception | None:
        return ConnectionLostError("lost") if request.method == "POST" else None

    server.after = lose
    _add(server)
    assert server.spec("laptop")["publicKey"] == str(
        read_private_key(Path("laptop.key")).public_key()
    )


def test_a_request_that_was_lost_leaves_nothing(server: LivingTransport) -> None:
    def lose(request: Request) -> Exception | None:
        return RequestTimeoutError("too slow") if request.method == "POST" else None

    server.before = lose
    with pytest.raises(RequestTimeoutError, match=r"^too slow$"):
        _add(server)
    assert _files() == []


def test_the_key_is_kept_where_it_is_not_known_what_became_of_the_peer(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(request: Request) -> Exception | None:
        down = any(one.method == "POST" for one in server.requests)
        return ConnectionLostError("lost") if down else None

    server.after = lose
    with pytest.raises(UnfinishedError, match="lost; it is unknown whether the peer laptop was"):
        _add(server)
    key = read_private_key(Path("laptop.key"))
    assert server.spec("laptop")["publicKey"] == str(key.public_key())
    assert capsys.readouterr().err == ("kept, because the cluster may have its key: laptop.key\n")


@pytest.mark.parametrize("deletable", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RequestTimeoutError("slow")])
def test_what_fails_after_the_peer_was_created_takes_it_back(
    server: LivingTransport, error: BaseException, deletable: bool
) -> None:
    def fail(request: Request) -> Exception | None:
        if request.method == "DELETE" and not deletable:
            return ConnectionLostError("gone")
        if request.path == PEERS and request.method == "GET" and "laptop" in server.peers:
            raise error
        return None

    server.before = fail
    expected = type(error) if deletable else UnfinishedError
    with pytest.raises(expected) as raised:
        _add(server)
    assert ("laptop" in server.peers) is not deletable
    assert Path("laptop.key").exists() is not deletable
    if not deletable:
        what = str(error) or "interrupted"
        assert str(raised.value) == (
            f"{what}; the peer laptop could not be removed: kgctl peer rm laptop"
        )


def test_a_refusal_leaves_no_file(server: LivingTransport) -> None:
    def refuse(request: Request) -> Answer | None:
        said = status_body("peers is forbidden", "Forbidden", 403)
        return Answer(said, 403) if request.method == "POST" else None

    server.before = refuse
    with pytest.raises(ForbiddenError, match="not allowed to create peers") as raised:
        _add(server, new_preshared_key=True)
    assert "kgctl help rbac peers prints a role" in message(raised.value)
    assert _files() == []


def test_a_name_that_is_there_already_says_what_to_do(server: LivingTransport) -> None:
    with pytest.raises(PeerExistsError, match='peer "old" already exists; change it with kgctl'):
        _add(server, "old")
    assert _files() == []


@pytest.mark.parametrize("name", ["Laptop", "a_b", "../x", "a/b", "", "-", "a" * 254, "x\n", "é"])
def test_a_bad_name_is_refused_before_anything_is_read(server: LivingTransport, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid object name"):
        _add(server, name)
    assert server.requests == []
    assert _files() == []


def test_a_public_key_belongs_to_one_machine(server: LivingTransport) -> None:
    with pytest.raises(InUseError, match="belongs to peer old; each machine needs its own"):
        _add(server, public_key=OTHER)
    server.nodes[0]["metadata"]["annotations"]["kilo.squat.ai/key"] = KEY
    with pytest.raises(InUseError, match="belongs to node n1"):
        _add(server, public_key=KEY)
    assert server.writes() == []


@pytest.mark.parametrize("kind", ["file", "dangling link", "directory"])
def test_a_key_file_that_is_there_is_never_touched(server: LivingTransport, kind: str) -> None:
    path = Path("laptop.key")
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    with pytest.raises(KeyFileError, match=r"laptop\.key exists, and a key is never overwritten"):
        _add(server)
    assert _files() == ["laptop.key"]
    assert kind != "file" or path.read_text() == "mine"
    assert "laptop" not in server.peers


def test_a_second_file_that_is_there_takes_the_first_one_back(server: LivingTransport) -> None:
    Path("laptop.psk").write_text("mine")
    with pytest.raises(KeyFileError):
        _add(server, new_preshared_key=True)
    assert _files() == ["laptop.psk"]


@pytest.mark.parametrize("kind", ["client", "server"])
@pytest.mark.parametrize("output", [None, "yaml", "json", "name"])
def test_a_dry_run_shows_and_keeps_nothing(
    server: LivingTransport, capsys: pytest.CaptureFixture[str], kind: str, output: str | None
) -> None:
    _add(server, dry_run=kind, output=output, new_preshared_key=True)
    said = capsys.readouterr()
    behind = {"client": "(dry run)", "server": "(server dry run)"}[kind]
    if output == "name":
        assert said.out == "peer.kilo.squat.ai/laptop\n"
    elif output is None:
        assert said.out == f"peer.kilo.squat.ai/laptop created {behind}\n"
    else:
        found = yaml.safe_load(said.out)  # JSON is YAML
        assert found["spec"]["allowedIPs"] == ["10.5.0.3/32"]
    assert "do not apply the keys shown, nobody has them" in said.err
    assert set(server.peers) == {"old"}
    assert _files() == []
    assert server.writes() == ([] if kind == "client" else ["POST"])


def test_the_next_command_is_one_that_a_shell_takes(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    target = _target(server, "--context", "my cluster")
    add_peer(target, NewPeer("x", private_key_file=Path("my key")), "none", None)
    assert capsys.readouterr().err.endswith(
        "next: kgctl showconf peer x -o wg-quick --private-key 'my key' --context 'my cluster'\n"
    )


def test_files_cannot_be_written_to(server: LivingTransport) -> None:
    with pytest.raises(UsageError, match="files and the example cannot be changed"):
        add_peer(Target(server.server()), NewPeer("x"), "none", None)
    assert _files() == []


CONFIGURATION = f"""
[Interface]
Address = 10.9.0.7/24, fd00:9::7/64
PrivateKey = {SECRET}
ListenPort = 5555
PostUp = iptables -A FORWARD -i %i -j ACCEPT; echo [Peer]
SaveConfig = true
DNS = 10.9.0.1, Example.COM
[Peer]
PublicKey = {KEY}
PresharedKey = {SECRET}
AllowedIPs = 10.9.0.0/24
Endpoint = VPN.example.org:51820
PersistentKeepalive = 15
"""


def test_a_configuration_becomes_a_peer_without_its_secret(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wg0.conf").write_text(CONFIGURATION)
    add_peer(_target(server), adopted(Path("wg0.conf"), NewPeer("wg0")), "none", None)
    secret = PrivateKey.parse(SECRET)
    assert secret is not None
    assert server.spec("wg0") == {
        "allowedIPs": ["10.9.0.7/32", "fd00:9::7/128"],
        "persistentKeepalive": 15,
        "publicKey": str(secret.public_key()),
    }
    said = capsys.readouterr()
    assert "it listens on port 5555: if the nodes can dial it, give --endpoint" in said.err
    everything = said.out + said.err + "".join(str(request) for request in server.requests)
    assert SECRET not in everything


def test_flags_stand_over_what_the_file_says() -> None:
    Path("wg0.conf").write_text(CONFIGURATION)
    given = NewPeer(
        "x", allowed_ips=["10.1.0.1/32"], public_key=KEY, endpoint="1.2.3.4:5",
        persistent_keepalive=0,
    )  # fmt: skip
    assert adopted(Path("wg0.conf"), given) == given


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot read wg0.conf: No such file"),
        ("", "wg0.conf is empty"),
        ("apiVersion: v1\nkind: List\n", "wg0.conf is a Kubernetes manifest"),
        (f"{SECRET}\n", "wg0.conf is a WireGuard key alone"),
        (f"[Interface]\nPrivateKey = {SECRET}", "no Address in its .Interface.; give --allowed"),
        ("[Interface]\nAddress = 10.0.0.1/24", "no PrivateKey in its .Interface.; give --public"),
        (f"[Interface]\nPrivateKey = {SECRET[:-2]}", "line 2: its value is not a valid PrivateKey"),
        ("[Interface]\nAddress = here", 'line 2: "here" is not a valid Address'),
        ("[Interface]\nPassword = x", "line 2: "),
        ("x" * 2_000_000, "has more than 1 MiB"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(text: str | None, complaint: str) -> None:
    if text is not None:
        Path("wg0.conf").write_text(text)
    with pytest.raises(KgctlError, match=complaint) as raised:
        adopted(Path("wg0.conf"), NewPeer("x"))
    assert SECRET[:-2] not in str(raised.value)
    assert "\n" not in str(raised.value)


HUB = f"""\ufeff[interface]
PrivateKey = {SECRET}
Address = 10.6.0.1/24
ListenPort = 51820
### begin phone ###
[Peer]
public key ={KEY}
PresharedKey = {OTHER}
AllowedIPs = 10.6.0.2/32, 192.168.7.0/24
PersistentKeepalive = 21
### end phone ###
"""


def test_a_hubs_file_says_what_is_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("hub.conf").write_text(HUB, encoding="utf-16")
    found = adopted(Path("hub.conf"), NewPeer("hub"))
    assert found.allowed_ips == ["10.6.0.1/32"]
    said = capsys.readouterr().err
    assert "behind it are 10.6.0.2/32, 192.168.7.0/24" in said
    assert OTHER not in said


def test_a_peer_of_a_hub_is_taken_by_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    Path("hub.conf").write_text(HUB)
    found = adopted(Path("hub.conf"), NewPeer("phone", public_key=KEY))
    assert found == NewPeer(
        "phone",
        allowed_ips=["10.6.0.2/32", "192.168.7.0/24"],
        public_key=KEY,
        persistent_keepalive=21,
    )
    said = capsys.readouterr().err
    assert "its preshared key belongs to the two machines of the file" in said
    assert OTHER not in said
    other = PrivateKey(b"x" * 32).public_key()
    assert adopted(Path("hub.conf"), NewPeer("x", public_key=str(other))).allowed_ips == [
        "10.6.0.1/32"
    ]


def test_amneziawg_is_said_to_be_no_wireguard(capsys: pytest.CaptureFixture[str]) -> None:
    Path("awg.conf").write_text(HUB.replace("### begin", "Jc = 5\nS1 = 17\nH1 = 8\n### begin"))
    assert adopted(Path("awg.conf"), NewPeer("awg")).allowed_ips == ["10.6.0.1/32"]
    assert "it uses AmneziaWG (S1, H1)" in capsys.readouterr().err


def test_several_interfaces_are_no_one_machine() -> None:
    Path("dump").write_text(f"interface: a\n\npeer: {KEY}\n\ninterface: b\n")
    with pytest.raises(UsageError, match="of 2 interfaces; give one"):
        adopted(Path("dump"), NewPeer("x"))


def test_errors_are_of_the_tree() -> None:
    for error in (InUseError, UnfinishedError):
        assert issubclass(error, ClusterError)
    assert issubclass(PeerExistsError, KgctlError)


def test_a_peer_without_endpoint_is_never_without_a_keepalive(server: LivingTransport) -> None:
    with pytest.raises(UsageError, match="without an endpoint needs a keepalive"):
        _add(server, persistent_keepalive=0)
    assert (server.writes(), _files()) == ([], [])
    _add(server, persistent_keepalive=0, endpoint="203.0.113.1:7")
    assert "persistentKeepalive" not in server.spec("laptop")


def test_host_bits_of_a_new_peer_are_masked(
    server: LivingTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    _add(server, allowed_ips=["10.9.0.7/24"])
    assert server.spec("laptop")["allowedIPs"] == ["10.9.0.0/24"]
    assert "10.9.0.7/24 means the network 10.9.0.0/24" in capsys.readouterr().err
