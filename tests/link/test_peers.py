"""Peers that link clusters: agents accept each of them."""

from __future__ import annotations

import pytest

from kgctl.link.foreign_links import Adoption, Terms, placed
from kgctl.link.peers import wanted_peers
from kgctl.mesh.link_rules import Share
from tests.mesh.test_link_rules import cidr, member, node


def only(**annotations: str) -> dict[str, object]:
    source = member("a", node("n1", 1, **annotations))
    (peer,) = wanted_peers(source).values()
    found: dict[str, object] = peer["spec"]
    return found


@pytest.mark.parametrize(
    ("endpoint", "keepalive", "expected"),
    [
        ("10.9.0.1:51820", "0", 25),
        ("10.9.0.1:51820", "17", 17),
        ("10.9.0.1:51820", "70000", 25),
        ("203.0.113.1:51820", "-1", None),
        ("203.0.113.1:51820", "0", None),
        ("203.0.113.1:51820", "17", 17),
    ],
)
def test_a_peer_without_endpoint_has_a_keepalive(
    endpoint: str, keepalive: str, expected: int | None
) -> None:
    spec = only(endpoint=endpoint, persistent_keepalive=keepalive)
    assert ("endpoint" in spec) is endpoint.startswith("203")
    assert spec.get("persistentKeepalive") == expected


def test_networks_have_no_host_bits_and_are_there_once() -> None:
    share = Share(location_ips=True, cidrs=(cidr("10.8.0.9/24"), cidr("10.8.0.0/24")))
    source = member("a", node("n1", 1, allowed_location_ips="10.9.0.7/24"), share=share)
    (peer,) = wanted_peers(source).values()
    networks = peer["spec"]["allowedIPs"]
    assert "10.9.0.0/24" in networks
    assert networks.count("10.8.0.0/24") == 1
    assert all(text == str(cidr(text).masked()) for text in networks)


@pytest.mark.parametrize(("kept", "expected"), [(40, 40), (65535, 65535), (65536, 25), ("9", 25)])
def test_a_peer_that_is_taken_over_keeps_a_keepalive_that_wireguard_holds(
    kept: object, expected: int
) -> None:
    source = member("a", node("n1", 1, endpoint="10.9.0.1:51820"))
    wanted = wanted_peers(source)
    (name,) = wanted
    by_hand = {"metadata": {"name": "by-hand"}, "spec": {"persistentKeepalive": kept}}
    found = placed(
        wanted, [by_hand], [Adoption("by-hand", name)], Terms((), is_free=lambda _cidr: True)
    )
    assert found["by-hand"]["spec"]["persistentKeepalive"] == expected
