"""``kgctl drift``: the choice of the interface, and exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.render.changes import Line, drift_to_object, drift_to_text
from kgctl.wireguard.machinefiles import parse_devices
from tests.support.recorded import kgctl
from tests.support.several import key

if TYPE_CHECKING:
    from pathlib import Path

OWN = "QHWPVzC1HomnQbUW8kWPCvgVPz4aG7+QGXvlQ3yXrk8="
"""The key of edge-1."""
OTHER = "XzFVuRNaoGx1A/INlJld+7pG7yI4rdwNHVpu7ItL0UE="
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="


def _interface(name: str, key: str) -> str:
    return "\t".join((name, SECRET, key, "51820", "off")) + "\n"


@pytest.mark.parametrize(
    ("dump", "arguments", "code", "said"),
    [
        (_interface("kilo0", OWN), [], 1, "- peer phone: missing"),
        (_interface("wg0", OTHER) + _interface("kilo0", OWN), [], 1, "differs in 7 places"),
        (_interface("wg0", OTHER) + _interface("kilo0", OWN), ["-i", "wg0"], 1, f"key: {OTHER}"),
        (_interface("wg0", OTHER) + _interface("wg1", OTHER), [], 2, "one of: wg0, wg1"),
        (_interface("kilo0", OWN), ["-i", "wg9"], 2, "one of: kilo0"),
        (_interface("kilo0", OWN) + "kilo0\tx\n", [], 2, "line 2: unexpected line of 2 fields"),
        ("", [], 2, "is empty"),
        (SECRET, [], 2, "is a WireGuard key alone"),
        (_interface("kilo0", "(none)"), [], 1, "\n  no key: this interface is not set up"),
        (_interface("kilo0", OWN), ["--only", "fsn1"], 2, "--only is for peers; edge-1"),
        (_interface("kilo0", OWN), ["--via", "fsn1-1"], 2, "--via names the node"),
        (_interface("kilo0", OWN), ["--nonsense"], 2, "--nonsense"),
    ],
)
def test_the_exit_code_is_the_answer(
    dump: str, arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "dump"
    file.write_text(dump)
    done = kgctl("--example", "drift", "edge-1", "--dump", str(file), *arguments)
    assert done.code == code
    assert said in done.stdout + done.stderr
    assert SECRET[:8] not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aws-2", "is not a leader"),
        ("10.5.0.1", "did not find any node, peer or IP address"),
        ("home-tv", "heartbeat 3h old"),
        ("edge1", 'did you mean "edge-1"?'),
    ],
)
def test_only_a_leader_or_a_peer_has_wireguard(name: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_text(_interface("kilo0", OWN))
    done = kgctl("--example", "drift", name, "--dump", str(file))
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr


OPTIONS = [
    (),
    ("--service-cidr", "10.43.0.0/16"),
    ("--service-cidr", "10.43.0.0/16,fd43::/112", "--via", "gcp-1"),
    ("--only", "fsn1", "--service-cidr", "10.43.0.0/16"),
    ("--only", "edge", "--only", "home-nas,gcp-1"),
    ("--gateway", "aws-1"),
    ("--gateway", "edge-1", "--only", "fsn1", "--service-cidr", "10.43.0.0/16"),
    ("--listen-port", "41000", "--mtu", "1380", "--table", "off"),
    ("--dns", "10.43.0.10", "--search-domain", "a.b", "--service-cidr", "10.8.0.0/16"),
]  # fmt: skip


@pytest.mark.parametrize("peer", ["laptop", "office", "phone"])
@pytest.mark.parametrize("form", ["wg-quick", "networkd", "nmconnection"])
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_a_file_of_kgctls_is_as_it_should_be(
    options: tuple[str, ...], form: str, peer: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text(kgctl("--example", "showconf", "peer", peer, "-o", form, *options).stdout)
    done = kgctl("--example", "drift", peer, "--dump", str(file))
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{peer} matches the cluster, with ")
    assert done.stdout.count("\n") == 1


def test_a_plain_file_of_kgctls_is_as_it_should_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for peer in ("laptop", "office", "phone"):
        file.write_text(kgctl("--example", "showconf", "peer", peer).stdout)
        done = kgctl("--example", "drift", peer, "--dump", str(file))
        assert done.stdout == f"{peer} matches the cluster, with 7 peers\n"
    for node in ("aws-1", "edge-1", "fsn1-1", "gcp-1", "home-nas"):
        file.write_text(kgctl("--example", "showconf", "node", node).stdout)
        assert kgctl("--example", "drift", node, "--dump", str(file)).code == 0
    assert kgctl("--example", "drift", "laptop", "--dump", str(tmp_path / "no")).code == 2


def _as_dump(text: str, port: int = 51820) -> str:
    """What wg would dump of an interface that was set up with a file for wg-quick."""
    (device,) = parse_devices(text, "it")
    rows: list[tuple[str, ...]] = [("kilo0", "(none)", "(none)", str(port), "off")]
    for one in device.peers:
        allowed = ",".join(map(str, one.allowed_ips)) or "(none)"
        psk = "(none)" if one.preshared_key is None else one.preshared_key.reveal()
        endpoint = one.endpoint if one.endpoint and one.endpoint.address else "(none)"
        rows.append(("kilo0", str(one.public_key), psk, str(endpoint), allowed, "0", "0", "0",
                     str(one.keepalive or "off")))  # fmt: skip
    return "".join("\t".join(row) + "\n" for row in rows)


@pytest.mark.parametrize("options", OPTIONS[1:7], ids=" ".join)
def test_of_a_device_the_options_say_how_it_was_set_up(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """A dump has no comment that says it; what it has besides is told, and is no fault."""
    made = kgctl("--example", "showconf", "peer", "office", "-o", "wg-quick", *options).stdout
    file = tmp_path / "file"
    file.write_text(_as_dump(made))
    own = ("--example", "drift", "office", "--dump", str(file), "-o", "json")
    kinds = [one["kind"] for one in json.loads(kgctl(*own, *options).stdout)["differences"]
             if one["kind"] not in ("key", "endpoint")]  # fmt: skip
    assert kinds == []
    without = kgctl(*own)
    found = {one["kind"]: one["fault"] for one in json.loads(without.stdout)["differences"]}
    assert found.get("missing", False) is ("--only" in options)
    assert ("--only NAME" in without.stderr) is ("--only" in options)
    if "--only" not in options:
        assert found["besides"] is False
        assert "allowed-ips" not in found


def test_networks_of_others_are_no_service_networks(tmp_path: Path) -> None:
    made = kgctl("--example", "showconf", "peer", "laptop", "-o", "wg-quick").stdout
    file = tmp_path / "file"
    for extra in ("10.42.5.0/25", "10.42.0.0/15", "10.5.0.0/24", "10.0.0.0/8"):
        file.write_text(made.replace("AllowedIPs = ", f"AllowedIPs = {extra}, ", 1))
        done = kgctl("--example", "drift", "laptop", "--dump", str(file))
        assert done.code == 1, extra
        assert f"too many: {extra}" in done.stdout


def test_what_an_old_file_names_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    made = kgctl("--example", "showconf", "peer", "laptop", "-o", "wg-quick", "--only", "fsn1")
    file.write_text(made.stdout.replace("--only fsn1", "--only atlantis"))
    done = kgctl("--example", "drift", "laptop", "--dump", str(file))
    assert done.code == 1
    assert 'made with --only atlantis: --only "atlantis" is in no segment' in done.stderr
    file.write_text(made.stdout.replace("--only fsn1", "--only 'broken --via"))
    assert kgctl("--example", "drift", "laptop", "--dump", str(file)).code == 1


def test_a_peer_listens_where_its_endpoint_says(tmp_path: Path) -> None:
    made = kgctl("--example", "showconf", "peer", "office", "-o", "wg-quick").stdout
    assert "\nListenPort = 51820\n" in made
    file = tmp_path / "file"
    file.write_text(made.replace("ListenPort = 51820", "ListenPort = 40123"))
    own = ("--example", "drift", "office", "--dump", str(file))
    assert "listen port: 40123, should be 51820" in kgctl(*own).stdout
    assert kgctl(*own, "--listen-port", "40123").code == 0


def test_a_node_listens_where_its_endpoint_says_whatever_the_port_option(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(kgctl("--example", "--port", "51999", "showconf", "node", "edge-1").stdout)
    for port in ("51820", "51999"):
        done = kgctl("--example", "--port", port, "drift", "edge-1", "--dump", str(file))
        assert "\n  listen port: 51999, should be 51820\n" in done.stdout


def test_what_is_counted_is_what_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    text = kgctl("--example", "showconf", "node", "edge-1").stdout
    file.write_text(text.replace("10.42.6.0/24,", "10.99.0.0/16,").replace("51820", "51821", 1))
    done = kgctl("--example", "drift", "edge-1", "--dump", str(file))
    assert done.stdout == (
        "edge-1 differs in 2 places\n"
        "  listen port: 51821, should be 51820\n"
        "  node gcp-1: allowed IPs lack 10.42.6.0/24; too many: 10.99.0.0/16\n"
    )
    assert done.stderr == ""


def _manifest(path: Path, of: str, **shared: str) -> list[str]:
    """Write nodes a, b and c, of which those in ``of`` have in common what is ``shared``."""
    items: list[dict[str, Any]] = [
        {
            "apiVersion": "kilo.squat.ai/v1alpha1",
            "kind": "Peer",
            "metadata": {"name": "laptop"},
            "spec": {"allowedIPs": ["10.5.0.1/32"], "publicKey": key("laptop")},
        }
    ]
    for name in "abc":
        number = ord(name) - ord("a") + 1
        own = {
            "key": key(f"node {name}"),
            "last-seen": "4102444800",
            "granularity": "location",
            "location": f"at-{name}",
            "endpoint": f"203.0.113.{number}:51820",
            "internal-ip": f"10.1.{number}.1/24",
            "wireguard-ip": f"10.4.0.{number}/16",
            **({one.replace("_", "-"): text for one, text in shared.items()} if name in of else {}),
        }
        metadata = {
            "name": name,
            "annotations": {f"kilo.squat.ai/{one}": text for one, text in own.items()},
        }
        spec = {"podCIDR": f"10.42.{number}.0/24"}
        items.append({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return ["-f", str(path), "--at", "2027-01-15T08:00:00Z"]


SHARED = [{"key": key("shared")}, {"internal_ip": "10.1.9.9/24"}]


@pytest.mark.parametrize("shared", SHARED, ids=["key", "internal-ip"])
@pytest.mark.parametrize(("first", "other"), [("b", "c"), ("c", "b")])
def test_drift_who_has_it_on_the_device_keeps_what_two_claim(
    shared: dict[str, str], first: str, other: str, tmp_path: Path
) -> None:
    before = _manifest(tmp_path / "before.json", first, **shared)
    file = tmp_path / "laptop.conf"
    made_with = ("--deny", "10.99.0.0/16")  # it is compared with what that makes, and nothing else
    done = kgctl(*before, "showconf", "peer", "laptop", "-o", "wg-quick", *made_with)
    file.write_text(done.stdout)
    both = _manifest(tmp_path / "both.json", "bc", **shared)
    done = kgctl(*both, "drift", "laptop", "--dump", str(file), "-o", "json")
    found = json.loads(done.stdout)["differences"]
    if "key" not in shared:
        # the other one has no internal IP any more: its own is gone, the shared one is another's
        assert [(one["kind"], one["who"]) for one in found] == [("allowed-ips", f"node {other}")]
        assert found[0]["found"] == f"10.1.{ord(other) - 96}.1/32"
        assert found[0]["wanted"] == "none"
    else:  # the other one is left out, with the key that it had before
        assert [(one["kind"], one["key"]) for one in found] == [("extra", key(f"node {other}"))]


def test_drift_names_the_owner_of_a_key_that_is_on_the_device(tmp_path: Path) -> None:
    before = _manifest(tmp_path / "before.json", "b", key=key("shared"))
    text = kgctl(*before, "showconf", "peer", "laptop", "-o", "wg-quick").stdout
    file = tmp_path / "laptop.conf"
    file.write_text(text.replace("203.0.113.2:51820", "203.0.113.77:51820"))
    both = _manifest(tmp_path / "both.json", "bc", key=key("shared"))
    done = kgctl(*both, "drift", "laptop", "--dump", str(file))
    assert done.code == 1
    assert "node b: endpoint 203.0.113.77:51820, should be 203.0.113.2:51820" in done.stdout


def test_drift_what_connect_sets_is_as_it_should_be(tmp_path: Path) -> None:
    """It holds the network that an endpoint lies in, which no file does, and b keeps its IP."""

    def manifest(name: str, of: str) -> list[str]:
        options = _manifest(tmp_path / name, of, internal_ip="10.1.9.9/24")
        state = json.loads((tmp_path / name).read_text())
        annotations = state["items"][1]["metadata"]["annotations"]
        annotations["kilo.squat.ai/endpoint"] = "10.77.0.5:51820"
        annotations["kilo.squat.ai/allowed-location-ips"] = "10.77.0.0/16"
        (tmp_path / name).write_text(json.dumps(state))
        return options

    file = tmp_path / "device"
    file.write_text(kgctl(*manifest("before.json", "b"), "showconf", "peer", "laptop").stdout)
    done = kgctl(*manifest("both.json", "bc"), "drift", "laptop", "--dump", str(file))
    assert done.code == 0, done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "this machine has no record of kgctl agent: run this on its node"),
        (["edge-1"], "this machine has no record of kgctl agent"),
        ([], "; or compare any machine: give NAME and --dump FILE"),
        (["-i", "wg\x1b7"], "no record of wg\\x1b7 of kgctl agent"),
        (["--dump", "x"], "--dump is of a machine: name the node or peer too"),
        (["edge-1", "--only", "fsn1"], "--only has no effect without --dump"),
        (["--accept", "x=10.0.0.0/8"], "--accept has no effect without --dump"),
    ],
)
def test_without_a_dump_it_is_about_the_agent_of_this_node(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    done = kgctl("--example", "drift", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr


HOSTILE = "x\n\x1b[2J"
LINES = [
    Line("route", None, None, "10.0.0.0/8 dev kilo0", None, is_fault=True),
    Line("route", None, None, "10.1.0.0/16", None, is_fault=True, about=HOSTILE),
    Line("rule", None, None, None, "to 10.0.0.0/8 lookup 1107", is_fault=True),
    Line("mtu", None, None, "1420", "1300", is_fault=True, about="kilo0"),
    Line("state", None, None, "up", "down", is_fault=True, about="kilo0"),
    Line("firewall", None, None, None, HOSTILE, is_fault=True, about=HOSTILE),
]


def test_differences_of_a_machine_are_lines_of_their_own_and_printable() -> None:
    text = drift_to_text("a-1", LINES, 1)
    assert text.splitlines() == [
        "a-1 differs in 6 places",
        "- route 10.0.0.0/8 dev kilo0: missing",
        r"- route 10.1.0.0/16: missing (x\n\x1b[2J)",
        "+ policy rule to 10.0.0.0/8 lookup 1107: unexpected",
        "  kilo0: MTU 1300, should be 1420",
        "  kilo0: down, should be up",
        r"+ x\n\x1b[2J: x\n\x1b[2J: unexpected",
    ]
    found = drift_to_object("a-1", LINES)
    assert [one.get("about") for one in found["differences"]] == [
        None, HOSTILE, None, "kilo0", "kilo0", HOSTILE,
    ]  # fmt: skip
