"""A DNS name before a public address: agents resolve it, and ``wireguard-ip`` shows the leader."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {name: base64.b64encode(bytes([n] * 32)).decode() for n, name in enumerate("123p", 1)}
BY_NAME, ELECTED = "a1.example.com:51820", "198.51.100.3:51820"


def node(name: str, location: str, number: int, endpoint: str, wireguard_ip: str) -> dict[str, Any]:
    notes = {
        "endpoint": endpoint,
        "internal-ip": f"192.168.1.{number}/24",
        "key": KEYS[str(number)],
        "last-seen": "1700000000",
        "granularity": "location",
        "location": location,
        "wireguard-ip": wireguard_ip,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {f"kilo.squat.ai/{key}": value for key, value in notes.items()},
        },
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
    }


def manifest(tmp_path: Path, *, told: bool = True) -> str:
    peer = {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": "p"},
        "spec": {
            "allowedIPs": ["10.5.0.1/32"],
            "publicKey": KEYS["p"],
            "persistentKeepalive": 25,
        },
    }
    items = [
        node("a-1", "a", 1, BY_NAME, "10.4.0.1/16" if told else ""),
        node("a-2", "a", 2, ELECTED, ""),
        node("b-1", "b", 3, "198.51.100.9:51820", "10.4.0.2/16" if told else ""),
        peer,
    ]
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


def run(file: str, *arguments: str) -> tuple[str, str]:
    done = kgctl("-f", file, "--at", "newest", *arguments)
    assert done.code == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["showconf", "peer", "p", "-o", "wg-quick"],
        ["showconf", "peer", "p", "-o", "networkd"],
        ["showconf", "peer", "p", "-o", "nmconnection"],
        ["get", "segments", "-o", "json"],
        ["graph", "-o", "json"],
        ["graph", "-o", "mermaid"],
        ["path", "p", "a-2", "-o", "json"],
    ],
)
def test_formats_of_our_own_follow_the_agents(tmp_path: Path, arguments: list[str]) -> None:
    stdout, stderr = run(manifest(tmp_path), *arguments)

    assert BY_NAME in stdout or "★ a-1" in stdout
    assert "chose" not in stderr


def test_the_path_into_the_location_leads_through_the_acting_leader(tmp_path: Path) -> None:
    stdout, _ = run(manifest(tmp_path), "path", "b-1", "a-2", "-o", "json")

    hops = json.loads(stdout)["there"]["hops"]
    assert [hop["to"]["name"] for hop in hops] == ["a-1", "a-2"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["graph"],
        ["showconf", "peer", "p"],
        ["showconf", "node", "a-2"],
        ["showconf", "node", "b-1"],
    ],
)
def test_the_references_formats_keep_its_answer_and_say_so(
    tmp_path: Path, arguments: list[str]
) -> None:
    stdout, stderr = run(manifest(tmp_path), *arguments)

    assert "198.51.100.3" in stdout or "198.51.100.9" in stdout
    assert BY_NAME not in stdout or arguments == ["graph"]
    assert "location:a: this names a-2 as the leader" in stderr
    assert "chose a-1: its annotation wireguard-ip shows it" in stderr
    assert stderr.count("\n") == 1


def test_all_leaders_files_keep_the_references_answer(tmp_path: Path) -> None:
    _, stderr = run(manifest(tmp_path), "showconf", "node", "--all", "-d", str(tmp_path))

    assert (tmp_path / "a-2.conf").exists()
    assert not (tmp_path / "a-1.conf").exists()
    assert "chose a-1" in stderr


def test_a_peers_own_section_depends_on_no_leader(tmp_path: Path) -> None:
    _, stderr = run(manifest(tmp_path), "showconf", "peer", "p", "--as-peer")

    assert not stderr


def test_drift_compares_the_device_of_the_acting_leader(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text("[Interface]\nListenPort = 51820\n")

    done = kgctl(
        "-f", manifest(tmp_path), "--at", "newest", "drift", "a-1", "--dump", str(dump)
    )  # fmt: skip

    assert "leads no segment" not in done.stderr
    assert done.code == 1


def test_where_nothing_tells_who_leads_that_is_said(tmp_path: Path) -> None:
    file = manifest(tmp_path, told=False)

    _, stderr = run(file, "graph")
    assert "no wireguard-ip shows which of a-1, a-2 they chose" in stderr
    findings = json.loads(run(file, "check", "-o", "json", "--select", "KG320")[0])["findings"]
    assert [one["name"] for one in findings] == ["location:a"]
    told = run(manifest(tmp_path), "check", "-o", "json", "--select", "KG206,KG320")[0]
    assert json.loads(told)["findings"] == []
