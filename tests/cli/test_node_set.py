"""``kgctl node set`` on files: what it says that Kilo's agents make of the annotations."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.cli.lookups import names_looked_up, warn_of_name
from kgctl.cluster.objects import state_of
from kgctl.diagnosis.subject import Subject
from kgctl.host.lookup import LookedUp
from kgctl.mesh.endpoint import parse_endpoint
from tests.recorded import Answer, kgctl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NOW = 1_700_000_000
FORCED = "198.51.100.77:51820"


def key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def node(number: int, **annotations: str) -> dict[str, Any]:
    notes = {
        "endpoint": f"198.51.100.{number}:51820",
        "internal-ip": f"10.1.{number}.1/24",
        "key": key(number),
        "last-seen": str(NOW),
        "granularity": "location",
        "location": f"l{number}",
        **{name.replace("_", "-"): text for name, text in annotations.items()},
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"n{number}",
            "annotations": {f"kilo.squat.ai/{name}": text for name, text in notes.items()},
        },
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
    }


def peer(number: int, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": f"p{number}"},
        "spec": {
            "allowedIPs": [f"10.5.0.{number}/32"],
            "publicKey": key(number),
            "persistentKeepalive": 25,
            **spec,
        },
    }


def set_(tmp_path: Path, objects: list[dict[str, Any]], *arguments: str) -> Answer:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return kgctl("-f", str(path), "node", "set", *arguments, "--dry-run=client")


# --- what agents keep ---


def test_an_endpoint_that_was_copied_stays_and_what_undoes_it_is_said(tmp_path: Path) -> None:
    forced = node(1, endpoint=FORCED, force_endpoint=FORCED)
    done = set_(tmp_path, [forced, node(2)], "n1", "--unset", "force-endpoint")
    assert done.code == 0
    assert done.stderr.splitlines() == [
        "the network stays as it is",
        f"n1: nothing is undone: its agent has copied {FORCED} into the annotation endpoint, which "
        "stays in force; for it to find its own: kubectl annotate node n1 kilo.squat.ai/endpoint-, "
        "which costs the node up to 30 s out of the network, or restart Kilo's pod there",
    ]


def test_an_endpoint_that_was_not_copied_yet_is_undone(tmp_path: Path) -> None:
    done = set_(
        tmp_path, [node(1, force_endpoint=FORCED), node(2)], "n1", "--unset", "force-endpoint"
    )
    assert f"{FORCED} -> 198.51.100.1:51820" in done.stderr
    assert "nothing is undone" not in done.stderr


def test_an_internal_ip_that_was_copied_stays(tmp_path: Path) -> None:
    forced = node(1, internal_ip="10.9.0.1/24", force_internal_ip="10.9.0.1/24")
    done = set_(tmp_path, [forced, node(2)], "n1", "--unset", "force-internal-ip")
    assert "n1: nothing is undone: its agent has copied 10.9.0.1/24" in done.stderr
    assert "kubectl annotate node n1 kilo.squat.ai/internal-ip-" in done.stderr


@pytest.mark.parametrize("none", ["-", ""])
def test_without_the_word_that_it_has_none_an_agent_finds_its_internal_ip(
    tmp_path: Path, none: str
) -> None:
    forced = node(1, internal_ip="", force_internal_ip=none)
    done = set_(tmp_path, [forced, node(2)], "n1", "--unset", "force-internal-ip")
    first, second = done.stderr.splitlines()
    assert first == "the network stays as it is, until agents check in"
    assert second.startswith("n1: within 30 s its agent writes the internal IP that it finds")
    assert second.endswith("kgctl node set n1 --force-internal-ip -")


def test_diff_says_it_too(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    forced = node(1, endpoint=FORCED, force_endpoint=FORCED)
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [forced, node(2)]}))
    done = kgctl("diff", "--base", str(path), "--set", "node/n1:force-endpoint-")
    assert "n1: nothing is undone" in done.stderr
    assert (done.code, done.stdout) == (0, "")


# --- what agents do not bear ---


def test_host_bits_are_masked_and_told_of(tmp_path: Path) -> None:
    done = set_(
        tmp_path, [node(1), node(2)], "n1", "--allowed-location-ips", "10.9.0.7/24,10.8.0.0/24"
    )
    assert done.code == 0
    assert "10.9.0.7/24 stands for 10.9.0.0/24, which is what is written" in done.stderr
    assert "10.9.0.0/24" in done.stderr.split("written", 1)[1]


@pytest.mark.parametrize(
    ("objects", "arguments", "why"),
    [
        (
            [node(1), node(2), node(3)],
            ["n1", "--force-internal-ip", "10.1.2.1/24"],
            "10.1.2.1/32 of node n2 is also that of node n1",
        ),
        (
            [node(1), node(2), node(3)],
            ["n1", "n2", "--force-internal-ip", "10.1.7.1/24"],
            "10.1.7.1/32 of node n2 is also that of node n1",
        ),
        (
            [node(1), node(2), peer(7)],
            ["n1", "--force-internal-ip", "10.5.0.7/24"],
            "10.5.0.7/32 of peer p7 is also that of node n1",
        ),
        (
            [
                node(1, persistent_keepalive="25"),
                node(
                    2,
                    discovered_endpoints=json.dumps(
                        {key(1): {"IP": "198.51.100.1", "Port": 40000, "Zone": ""}}
                    ),
                ),
            ],
            ["n1", "--persistent-keepalive", "0"],
            "node n1 calls from 198.51.100.1:40000, and without a keepalive its endpoint may not",
        ),
    ],
)
def test_what_agents_could_never_set_is_refused(
    tmp_path: Path, objects: list[dict[str, Any]], arguments: list[str], why: str
) -> None:
    done = set_(tmp_path, objects, *arguments)
    assert (done.code, done.stdout) == (1, "")
    assert why in done.stderr.splitlines()[-1]
    assert "all its links break for 15 s" in done.stderr


def test_what_was_so_before_keeps_nobody_from_another_change(tmp_path: Path) -> None:
    objects = [node(1), node(2, internal_ip="10.1.1.1/24"), node(3)]
    done = set_(tmp_path, objects, "n3", "--persistent-keepalive", "25")
    assert done.code == 0, done.stderr


# --- what is hidden from agents ---


def test_a_change_behind_a_peer_that_never_connected_is_said_to_be_hidden(tmp_path: Path) -> None:
    objects = [node(1), node(2), node(9), peer(3)]
    done = set_(tmp_path, objects, "n9", "--force-endpoint", FORCED)
    assert done.code == 0
    said = done.stderr.splitlines()[-1]
    assert said.startswith("this may be hidden from n1, n2: their agents compare peers in the")
    assert "end at peer p3, which never connected" in said
    assert "kgctl drift n1 --dump FILE" in said


@pytest.mark.parametrize(
    "silent",
    [
        peer(3, endpoint={"dnsOrIP": {"ip": "203.0.113.9"}, "port": 7}),
        peer(12),
        peer(3, allowedIPs=[]),
    ],
    ids=["it has an endpoint", "it comes after", "it takes no part"],
)
def test_other_peers_hide_nothing(tmp_path: Path, silent: dict[str, Any]) -> None:
    done = set_(tmp_path, [node(1), node(2), node(9), silent], "n9", "--force-endpoint", FORCED)
    assert "hidden" not in done.stderr


def test_a_peer_that_some_leader_knows_hides_nothing(tmp_path: Path) -> None:
    seen = json.dumps({key(3): {"IP": "203.0.113.6", "Port": 4, "Zone": ""}})
    objects = [node(1, discovered_endpoints=seen), node(2), node(9), peer(3)]
    done = set_(tmp_path, objects, "n9", "--force-endpoint", FORCED)
    assert "hidden" not in done.stderr


# --- names ---


def asked(*missing: str, unasked: Iterable[str] = ()) -> Any:
    return lambda _names: LookedUp(
        dict.fromkeys(missing, "Name or service not known"), dict.fromkeys(unasked, "Try again")
    )


def test_a_name_that_does_not_resolve_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    name = parse_endpoint("gone.example.com:7")
    warn_of_name(name, asked("gone.example.com"))
    said = capsys.readouterr().err
    assert said.startswith("warning: gone.example.com does not resolve here: Name or service")
    assert "KG505" in said
    warn_of_name(name, asked(unasked=["gone.example.com"]))
    warn_of_name(name, None)
    warn_of_name(parse_endpoint("203.0.113.1:7"), asked("203.0.113.1"))
    assert capsys.readouterr().err == ""


def test_what_could_not_be_asked_is_not_looked_at(tmp_path: Path) -> None:
    subject = _subject(tmp_path)
    seen, missing = names_looked_up(
        subject, float(NOW), offline=False, ask=asked(unasked=["n1.example.com", "n2.example.com"])
    )
    assert missing == {}
    assert seen.unseen == (
        "whether the names of endpoints resolve: n1.example.com and 1 more (Try again)",
    )
    seen, missing = names_looked_up(subject, float(NOW), offline=True, ask=asked("n1.example.com"))
    assert (seen.unseen, missing) == (("whether the names of endpoints resolve (--offline)",), {})


def _subject(tmp_path: Path) -> Subject:
    from kgctl.cluster.manifests import Manifests

    path = tmp_path / "named.json"
    items = [node(n, endpoint=f"n{n}.example.com:51820") for n in (1, 2)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return Subject(state_of(Manifests([str(path)]).read()))


def test_check_finds_a_reserved_name_and_offline_asks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    items = [node(1, endpoint="n1.example.invalid:51820"), node(2)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    source = ("-f", str(path), "--at", "newest", "check", "--select", "KG505")
    done = kgctl(*source)
    assert done.code == 1
    assert "KG505 error node/n1: the name of its endpoint, n1.example.invalid" in done.stdout
    done = kgctl(*source, "--offline")
    assert (done.code, done.stdout) == (0, "no findings\n")
    assert done.stderr == ("not looked at: whether the names of endpoints resolve (--offline)\n")
