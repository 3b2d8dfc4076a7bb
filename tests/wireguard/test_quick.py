"""The wg-quick file: no network is claimed twice, and no route cuts the tunnel off."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.granted import limited
from kgctl.mesh.state import network_of
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import peer_configuration
from kgctl.wireguard.parse import parse_configuration
from kgctl.wireguard.quick import QuickSettings, UnknownPlaceError, quick_configuration
from tests.support.strategies import addresses4, clusters
from tests.support.strict import assert_strict

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects
    from kgctl.wireguard.conf import Configuration

NOW = 1_800_000_000.0


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


def _address(text: str) -> Address:
    address = parse_address(text)
    assert address is not None
    return address


def _topology(objects: Objects) -> Topology | None:
    state = state_of(objects)
    if not state.ready_nodes(NOW) or not any(peer.is_ready for peer in state.peers):
        return None
    return network_of(state, now=NOW, granularity="location")


def _joining(topology: Topology | None) -> list[Peer]:
    """Return the peers with whose key not all others are left out."""
    if topology is None:
        return []
    keys = Counter(one.key for one in topology.segments)
    keys.update(one.public_key for one in topology.peers if one.public_key is not None)
    return [
        one
        for one in topology.peers
        if one.public_key is not None and keys.total() > keys[one.public_key]
    ]


def _way(configuration: Configuration, address: Address) -> str | None:
    """Return the key that WireGuard would encrypt a packet for: the longest prefix wins."""
    best, way = -1, None
    for peer in configuration.peers:
        for network in peer.allowed_ips:
            if network.contains(address) and network.prefix >= best:  # of two the last one wins
                best, way = network.prefix, str(peer.public_key)
    return way


@given(clusters())
def test_no_two_sections_claim_one_network(objects: Objects) -> None:
    topology = _topology(objects)
    for peer in _joining(topology):
        configuration = quick_configuration(topology, peer, QuickSettings())  # type: ignore[arg-type]
        networks = [net.masked() for one in configuration.peers for net in one.allowed_ips]
        assert len(networks) == len(set(networks))
        assert not {own.masked() for own in peer.allowed_ips} & set(networks)


@given(clusters())
def test_no_endpoint_is_routed_into_the_tunnel(objects: Objects) -> None:
    topology = _topology(objects)
    for peer in _joining(topology):
        configuration = quick_configuration(topology, peer, QuickSettings())  # type: ignore[arg-type]
        for section in configuration.peers:
            if section.endpoint is not None and section.endpoint.address is not None:
                through = [
                    network
                    for one in configuration.peers
                    for network in one.allowed_ips
                    if network.prefix and network.contains(section.endpoint.address)
                ]
                assert through == []


@given(clusters(), st.lists(addresses4, min_size=5, max_size=20))
def test_every_other_address_goes_where_it_went(objects: Objects, texts: list[str]) -> None:
    topology = _topology(objects)
    for peer in _joining(topology):
        assert topology is not None
        plain = peer_configuration(limited(topology, beside=peer.name).topology, peer)
        quick = quick_configuration(topology, peer, QuickSettings())
        endpoints = {section.endpoint.address for section in plain.peers if section.endpoint}
        networks = [net for section in plain.peers for net in section.allowed_ips]
        single = [net.address for net in networks]
        if len({net.masked() for net in networks}) < len(networks):
            continue  # claimed twice: then they differ on purpose
        for address in [*map(_address, texts), *single]:
            own = any(net.contains(address) for net in peer.allowed_ips)
            if address not in endpoints and not own:
                assert _way(quick, address) == _way(plain, address)


@given(clusters())
def test_the_file_is_strict_and_reads_back(objects: Objects) -> None:
    topology = _topology(objects)
    for peer in _joining(topology):
        assert topology is not None
        left = limited(topology, beside=peer.name).topology.segments
        if not left:
            continue  # all leaders are left out, and no gateway with them
        settings = QuickSettings(
            dns=(_address("10.43.0.10"), "svc.cluster.local"),
            mtu=1420,
            listen_port=51820,
            table="off",
            service_cidrs=(_cidr("10.43.0.0/16"),),
            gateway=left[0].leader.name,
        )
        text = str(quick_configuration(topology, peer, settings))
        assert_strict(text)
        assert str(parse_configuration(text)) == "\n".join(
            line for line in text.split("\n") if not line.startswith("#")
        )


NODE = """{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "{name}", "annotations": {{
  "kilo.squat.ai/endpoint": "{endpoint}", "kilo.squat.ai/internal-ip": "{internal}",
  "kilo.squat.ai/key": "{key}", "kilo.squat.ai/last-seen": "4102444800",
  "kilo.squat.ai/location": "{location}", "kilo.squat.ai/granularity": "location"
  {more}}}}}, "spec": {{"podCIDR": "{pods}"}}}}"""
PEER = """{"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "metadata": {"name": "p"},
  "spec": {"allowedIPs": ["10.5.0.1/32"], "publicKey":
  "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="}}"""
KEYS = [
    "DgWsxZRv+z+Aghy+/s9AlZmXyQj1D8Rcoy6ZrJmfT+I=",
    "zy3bGjqQsCoPznuaqsSvqVywL7Rh94nRcr6stnqF9sw=",
]


@pytest.fixture
def two_places(tmp_path_factory: pytest.TempPathFactory) -> Topology:
    """Two nodes in two places; the endpoint of the first is its internal IP, on a shared LAN."""
    from kgctl.state.manifests import Manifests

    path = tmp_path_factory.mktemp("cluster") / "cluster.json"
    lan = ', "kilo.squat.ai/allowed-location-ips": "192.168.0.0/16"'
    nodes = [
        NODE.format(name="a", endpoint="10.1.0.1:51820", internal="10.1.0.1/24", key=KEYS[0],
                    location="home", pods="10.42.0.0/24", more=""),
        NODE.format(name="b", endpoint="192.168.7.9:51820", internal="10.2.0.1/24", key=KEYS[1],
                    location="office", pods="10.42.1.0/24", more=lan),
    ]  # fmt: skip
    path.write_text("\n".join([*nodes, PEER]))
    return network_of(state_of(Manifests([str(path)]).read()), now=NOW)


def test_an_endpoint_that_is_an_internal_ip_is_left_out(two_places: Topology) -> None:
    text = str(quick_configuration(two_places, two_places.peers[0], QuickSettings()))
    assert "AllowedIPs = 10.42.0.0/24, 10.4.0.1/32\n" in text
    assert (
        "# without 10.1.0.1, which is in 10.1.0.1/32: it is the endpoint of location:home" in text
    )


def test_an_endpoint_within_a_network_is_cut_out_of_it(two_places: Topology) -> None:
    configuration = quick_configuration(two_places, two_places.peers[0], QuickSettings())
    assert _way(configuration, _address("192.168.7.9")) is None
    assert _way(configuration, _address("192.168.7.8")) == KEYS[1]
    assert _way(configuration, _address("192.168.255.255")) == KEYS[1]


def test_what_is_behind_the_peer_stays_there_when_an_endpoint_is_cut_out(
    two_places: Topology,
) -> None:
    behind = (_cidr("10.5.0.1/32"), _cidr("10.43.7.0/24"))
    segments = [
        segment._replace(endpoint=parse_endpoint("10.43.7.9:51820"))
        for segment in two_places.segments[:1]
    ]
    topology = two_places._replace(segments=(*segments, *two_places.segments[1:]))
    peer = topology.peers[0]._replace(allowed_ips=behind)
    services = QuickSettings(service_cidrs=(_cidr("10.43.0.0/16"),), via="b")
    configuration = quick_configuration(topology._replace(peers=(peer,)), peer, services)
    assert _way(configuration, _address("10.43.7.8")) is None  # the LAN's route is the one
    assert _way(configuration, _address("10.43.8.8")) == KEYS[1]


def test_services_and_all_traffic_go_where_they_are_sent(two_places: Topology) -> None:
    services = QuickSettings(service_cidrs=(_cidr("10.43.0.0/16"),), via="b")
    configuration = quick_configuration(two_places, two_places.peers[0], services)
    assert _way(configuration, _address("10.43.0.10")) == KEYS[1]
    everything = quick_configuration(two_places, two_places.peers[0], QuickSettings(gateway="a"))
    for address in ("9.9.9.9", "2001:db8::9"):
        assert _way(everything, _address(address)) == KEYS[0]
    assert _way(everything, _address("10.42.1.7")) == KEYS[1]


def test_a_file_can_be_limited_to_places(two_places: Topology) -> None:
    for name in ("home", "a"):
        limited = quick_configuration(two_places, two_places.peers[0], QuickSettings(only=(name,)))
        assert [str(section.public_key) for section in limited.peers] == KEYS[:1]
    both = quick_configuration(
        two_places, two_places.peers[0], QuickSettings(only=("home",), gateway="b")
    )
    assert len(both.peers) == 2


@pytest.mark.parametrize(
    "settings",
    [QuickSettings(gateway="c"), QuickSettings(only=("mars",)),
     QuickSettings(service_cidrs=(_cidr("10.43.0.0/16"),), via="c")],
)  # fmt: skip
def test_an_unknown_place_is_refused(two_places: Topology, settings: QuickSettings) -> None:
    with pytest.raises(UnknownPlaceError, match="is in no segment of the network"):
        quick_configuration(two_places, two_places.peers[0], settings)
