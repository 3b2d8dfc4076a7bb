"""Claims of one machine about others: one finding, on the machine that made them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.recorded import kgctl
from tests.support.several import NOW, key, node, peer, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.several import Object


def _found(path: Path, *options: str) -> list[dict[str, str]]:
    done = kgctl("-f", str(path), "--at", NOW, "check", "-o", "json", "--offline", *options)
    findings: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return findings


def _claims(path: Path, *options: str) -> list[tuple[str, str, str]]:
    found = _found(path, *options)
    return [(one["code"], one["kind"], one["name"]) for one in found if one["code"] > "KG7"]


def _many(count: int) -> list[Object]:
    return [
        node(
            f"n{number}", 1, 1, f"l{number}",
            endpoint=f"203.0.{number >> 8}.{number & 255}:51820",
            internal_ip=f"172.20.{number >> 8}.{number & 255}/16",
            key=key(f"node {number}"), wireguard_ip=f"10.4.{number >> 8}.{number & 255}/16",
        )
        | {"spec": {"podCIDR": f"10.{100 + (number >> 8)}.{number & 255}.0/24"}}
        for number in range(1, count + 1)
    ]  # fmt: skip


def test_one_culprit_with_hundreds_of_victims_is_one_finding(tmp_path: Path) -> None:
    objects = _many(400)
    objects[6]["metadata"]["annotations"]["kilo.squat.ai/allowed-location-ips"] = "203.0.0.0/23"
    found = [one for one in _found(write(tmp_path / "c.yaml", objects)) if one["name"] == "n7"]
    by_code = {one["code"]: one for one in found}
    assert set(by_code) >= {"KG307", "KG703"}
    loop = by_code["KG307"]
    assert loop["sentence"] == (
        "its allowed location IP 203.0.0.0/23 contains the endpoints 203.0.0.1 of node n1, "
        "203.0.0.2 of node n2, 203.0.0.3 of node n3 and 397 more"
    )
    everywhere = _found(write(tmp_path / "c.yaml", objects))
    assert [one["name"] for one in everywhere if one["code"] == "KG307"] == ["n7"]


def test_consent_ends_the_finding(tmp_path: Path) -> None:
    objects = [
        node("a", 1, 1, "x", allowed_location_ips="198.51.100.0/24"),
        node("b", 1, 2, "z"),
        peer("office", "10.5.0.1/32", "0.0.0.0/1", "128.0.0.0/1"),
    ]
    path = write(tmp_path / "c.yaml", objects[:2])
    assert _claims(path) == [("KG703", "node", "a")]
    assert _claims(path, "--accept", "a=198.51.0.0/16") == []
    settings = tmp_path / "limits.toml"
    settings.write_text('[limits]\naccept = ["a=198.51.100.0/24"]\n')
    assert _claims(path, "--config", str(settings)) == []
    assert _claims(write(path, objects[1:])) == [("KG701", "peer", "office")]


def test_a_default_route_of_a_peer_is_said_once(tmp_path: Path) -> None:
    objects = [node("a", 1, 1, "x"), peer("exit", "10.5.0.1/32", "0.0.0.0/0", "::/0")]
    codes = {one["code"] for one in _found(write(tmp_path / "c.yaml", objects))}
    assert "KG405" in codes
    assert "KG701" not in codes


def test_who_says_that_others_are_elsewhere_is_found_once(tmp_path: Path) -> None:
    word = {key(f"node {number}"): {"IP": "198.51.100.66", "Port": 1, "Zone": ""}
            for number in range(2, 101)}  # fmt: skip
    nodes = _many(100)
    for one in nodes:
        one["metadata"]["annotations"]["kilo.squat.ai/persistent-keepalive"] = "25"
    nodes[0]["metadata"]["annotations"]["kilo.squat.ai/discovered-endpoints"] = json.dumps(word)
    (found,) = (
        one for one in _found(write(tmp_path / "nodes.yaml", nodes)) if one["code"] == "KG720"
    )
    assert found["name"] == "n1"
    assert "and 96 more" in found["sentence"]
    assert "at 198.51.100.66:1, whose own endpoint is 203.0.0." in found["sentence"]
