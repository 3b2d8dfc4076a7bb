"""Networks that clusters share through hubs and spokes: receivers and routes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.link.peers import relayed_networks, wanted_peers
from kgctl.mesh.link_rules import FULL_MESH, Layout, Member, Share, obstacles
from tests.mesh.test_link_rules import checks, cidr, member, node

PRIVATE = "192.168.0.1:51820"


def peers_in(target: Member, members: list[Member], layout: Layout) -> dict[str, list[str]]:
    """Return the allowed IPs of each Peer that ``target`` is to hold, by name."""
    found = {}
    for source in members:
        if layout.linked(target.name, source.name):
            relayed = relayed_networks(source, target.name, members, layout)
            for name, peer in wanted_peers(source, relayed=relayed).items():
                found[name] = peer["spec"]["allowedIPs"]
    return found


@given(st.integers(2, 6), st.data())
def test_every_cluster_reaches_every_other_by_one_way(count: int, data: st.DataObject) -> None:
    """What is more, by the same one back: WireGuard lets in nothing else."""
    names = [f"c{number}" for number in range(1, count + 1)]
    hubs = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
    layout = Layout(tuple(hubs))
    members = [
        member(name, node("a", number, location="x"), node("b", number + 50, location="y"))
        for number, name in enumerate(names, 1)
    ]
    for target in members:
        peers = peers_in(target, members, layout)
        for number, source in enumerate(members, 1):
            if source is target:
                continue
            for subnet in (f"10.{number}.0.0/24", f"10.{number + 50}.0.0/24"):
                (via,) = [name for name, networks in peers.items() if subnet in networks]
                linked = layout.linked(source.name, target.name)
                assert via.startswith(f"link-{source.name if linked else hubs[0]}.")
                assert linked or via == f"link-{hubs[0]}.x"
        direct = {name.partition(".")[0].removeprefix("link-") for name in peers}
        spoke = bool(hubs) and target.name not in hubs
        assert direct == set(hubs if spoke else names) - {target.name}


def test_what_a_hub_passes_on_goes_to_a_segment_that_can_be_dialled() -> None:
    hidden = node("a", 1, location="x", endpoint=PRIVATE)
    hub = member("hub", hidden, node("b", 51, location="y"))
    members = [hub, member("s", node("n", 2)), member("t", node("n", 3))]
    peers = peers_in(members[1], members, Layout(("hub",)))
    assert "10.3.0.0/24" not in peers["link-hub.x"]
    assert {"10.3.0.0/24", "172.3.0.1/32", "10.103.0.1/32"} < set(peers["link-hub.y"])


def test_spokes_need_not_meet() -> None:
    members = [member("hub", node("n", 1)), member("s", node("n", 2, endpoint=PRIVATE)),
               member("t", node("n", 3, endpoint=PRIVATE))]  # fmt: skip
    assert checks(obstacles(members)) == ["endpoints"]
    assert obstacles(members, Layout(("hub",))) == []
    assert checks(obstacles(members, Layout(("s",)))) == ["endpoints"]


@pytest.mark.parametrize(
    ("share", "networks"),
    [
        (Share(), ["10.2.0.0/24", "172.2.0.1/32", "10.102.0.1/32", "10.44.0.0/16"]),
        (Share(pods=False), ["172.2.0.1/32", "10.102.0.1/32", "10.44.0.0/16"]),
        (Share(internal_ips=False), ["10.2.0.0/24", "10.102.0.1/32", "10.44.0.0/16"]),
        (Share(services=False), ["10.2.0.0/24", "172.2.0.1/32", "10.102.0.1/32"]),
        (Share(pods=False, services=False, internal_ips=False, location_ips=True),
         ["10.102.0.1/32", "192.168.9.0/24"]),
        (Share(services=False, cidrs=(cidr("192.168.7.0/24"),)),
         ["10.2.0.0/24", "172.2.0.1/32", "10.102.0.1/32", "192.168.7.0/24"]),
    ],
)  # fmt: skip
def test_others_get_what_is_shared(share: Share, networks: list[str]) -> None:
    with_lan = node("n", 2, allowed_location_ips="192.168.9.0/24")
    source = member("b", with_lan, services=("10.44.0.0/16",))._replace(share=share)
    peers = peers_in(member("a", node("n", 1)), [source], FULL_MESH)
    assert list(peers.values()) == [networks]


def test_what_neither_shares_may_overlap() -> None:
    services = ("10.48.0.0/16",)
    a = member("a", node("n", 1), services=services)
    b = member("b", node("n", 2), services=services)
    alone = Share(services=False)
    assert checks(obstacles([a, b])) == ["overlap"]
    assert checks(obstacles([a._replace(share=alone), b])) == ["overlap"]
    assert obstacles([a._replace(share=alone), b._replace(share=alone)]) == []


def test_more_that_is_shared_must_not_overlap_either() -> None:
    lan = node("n", 1, allowed_location_ips="172.2.0.0/24")
    a, b = member("a", lan), member("b", node("n", 2))
    assert obstacles([a, b]) == []
    (found,) = obstacles([a._replace(share=Share(location_ips=True)), b])
    assert "lies in 172.2.0.0/24, an allowed location IP of node n of a" in found.text
    (found,) = obstacles([a._replace(share=Share(cidrs=(cidr("10.2.0.0/16"),))), b])
    assert "lies in 10.2.0.0/16, a shared network of a" in found.text
