"""What rounds keep from earlier ones: the result is always that of a round from scratch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from kgctl.connect.network import Memory, Wanted, devices_of, wanted_of
from kgctl.connect.rounds import Parser
from kgctl.connect.shared_addresses import Sharing, shared_addresses
from kgctl.connect.synchroniser import Synchroniser
from kgctl.errors import MeshError
from kgctl.host.names import Names
from kgctl.kube.objects import NodeObject
from kgctl.mesh.cidr import single
from kgctl.mesh.granted import limited
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.owners import NOTHING, Present
from kgctl.mesh.policy import Limits
from kgctl.mesh.routes import passage, peer_routes
from kgctl.mesh.sightings import sightings
from kgctl.mesh.state import network_of
from kgctl.state.interface import Objects
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import peer_configuration
from kgctl.wireguard.device import DeviceState, wanted_peers
from tests.connect.test_synchroniser import NOW, OWN, MemoryRoutes
from tests.connect.test_synchroniser import Memory as Host
from tests.host.test_host import Dns
from tests.support.strategies import FAR_AHEAD, clusters, node_objects, peer_objects
from tests.wireguard.test_device import KEYS, cidr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.state import State

NAME = "own"
SEEN = "kilo.squat.ai/last-seen"
OWN_PEER: dict[str, Any] = {
    "metadata": {"name": NAME},
    "spec": {"allowedIPs": ["10.5.0.9/32"], "publicKey": str(OWN.public_key())},
}
LIMITS = st.sampled_from(
    [
        Limits(),
        Limits(only_networks=(cidr("10.0.0.0/8"), cidr("2001:db8::/32"))),
        Limits(deny=(cidr("10.5.0.0/24"),), accept={"*": (cidr("0.0.0.0/0"), cidr("::/0"))}),
    ]
)
EXTRA = st.sampled_from([(), (cidr("10.43.0.0/16"), cidr("10.5.0.1/32"))])
PLACES = st.integers(0, 7)
CHANGES = st.one_of(
    st.tuples(st.just("add"), PLACES, node_objects()),
    st.tuples(st.just("change"), PLACES, node_objects()),
    st.tuples(st.just("move"), PLACES, node_objects()),
    st.tuples(st.just("remove"), PLACES, st.none()),
    st.tuples(st.just("beat"), PLACES, st.none()),
    st.tuples(st.just("peer"), PLACES, peer_objects()),
    st.tuples(st.just("no peer"), PLACES, st.none()),
    st.tuples(st.just("guard"), PLACES, st.none()),
)


class Scene:
    """A cluster that changes step by step."""

    def __init__(self, objects: Objects) -> None:
        self.nodes = {node.name: node for node in objects.nodes}
        self.peers = {peer["metadata"]["name"]: peer for peer in objects.peers} | {NAME: OWN_PEER}
        self.guards: tuple[Guard, ...] = ()
        self._parser = Parser("topology.kubernetes.io/region")

    def change(self, kind: str, place: int, given: Any) -> None:
        names = sorted(self.nodes)
        name = names[place % len(names)] if names else "first"
        others = sorted(self.peers.keys() - {NAME})
        if kind == "guard":
            network = single(cidr(f"10.5.0.{place}/32").address)
            self.guards = (Guard(network, Reason.GATEWAY, "a gateway"),)
        elif kind == "peer":
            self.peers[given["metadata"]["name"]] = given
            self.peers[NAME] = OWN_PEER
        elif kind == "no peer" and others:
            del self.peers[others[place % len(others)]]
        elif kind == "add":
            self.nodes[given.name] = given
        elif kind == "change":
            self.nodes[name] = given._replace(name=name)
        elif names and kind == "remove":
            del self.nodes[name]
        elif names and kind in ("beat", "move"):
            found: NodeObject = self.nodes[name]
            value = {SEEN: str(int(FAR_AHEAD) - place)}
            if kind == "move":
                key = "kilo.squat.ai/endpoint"
                value = {key: given.annotations.get(key, "")}
            self.nodes[name] = found._replace(annotations={**found.annotations, **value})

    def state(self) -> State:
        nodes, peers = list(self.nodes.values()), list(self.peers.values())
        return self._parser.state(Objects(nodes=nodes, peers=peers, passed_over={}))


def from_scratch(
    state: State, limits: Limits, guards: tuple[Guard, ...], extra: Any, present: Present
) -> Wanted:
    """Return the main parts of what is wanted, by the functions for a whole network."""
    topology = network_of(state, now=NOW, granularity="location", acting_leaders=True)
    own = topology.peer(NAME)
    assert own is not None
    found = limited(topology, limits, guards, beside=NAME, present=present).topology
    sections = list(peer_configuration(found, own).peers)
    if extra:
        first = topology.segment_of(state.ready_nodes(NOW)[0].name)
        assert first is not None
        away = {one.masked() for one in extra}
        for number, one in enumerate(sections):
            kept = tuple(each for each in one.allowed_ips if each.masked() not in away)
            ips = (*one.allowed_ips, *extra) if one.public_key == first.key else kept
            sections[number] = one._replace(allowed_ips=ips)
    routes = peer_routes(found, NAME, extra)
    heard = sightings(found)
    return Wanted(
        peers=tuple(sections),
        routes=routes,
        names={},
        sightings=heard,
        devices=devices_of(topology),
    )


def outcome(
    state: State,
    limits: Limits,
    guards: tuple[Guard, ...],
    extra: Any,
    present: Present,
    memory: Memory | None,
) -> Wanted | str:
    """Return what is wanted, or the error."""
    try:
        return wanted_of(
            state,
            name=NAME,
            now=NOW,
            granularity="location",
            extra=extra,
            limits=limits,
            guards=guards,
            present=present,
            memory=memory,
        )
    except MeshError as error:
        return str(error)


def steps(objects: Objects, changes: list[Any]) -> Iterator[Scene]:
    scene = Scene(objects)
    yield scene
    for change in changes:
        scene.change(*change)
        yield scene


@given(clusters(), st.lists(CHANGES, max_size=8), LIMITS, EXTRA)
def test_what_is_wanted_is_the_same_with_a_memory(
    objects: Objects, changes: list[Any], limits: Limits, extra: Any
) -> None:
    memory, present = Memory(), NOTHING
    for scene in steps(objects, changes):
        state = scene.state()

        fresh, wanted = (
            outcome(state, limits, scene.guards, extra, present, known) for known in (None, memory)
        )
        assert wanted == fresh
        if isinstance(wanted, str):
            continue
        whole = from_scratch(state, limits, scene.guards, extra, present)
        assert (wanted.peers, wanted.routes) == (whole.peers, whole.routes)
        assert (wanted.sightings, wanted.devices) == (whole.sightings, whole.devices)
        networks = {one: peer.public_key for peer in wanted.peers for one in peer.allowed_ips}
        present = Present(wanted.names, networks)


@given(clusters(), st.lists(CHANGES, max_size=8))
def test_rounds_of_events_lead_where_a_whole_round_leads(
    objects: Objects, changes: list[Any]
) -> None:
    host, memory = Host(), Memory()
    routes = MemoryRoutes(host)
    host.others = {cidr("10.5.0.0/24"), cidr("52.0.0.0/8")}
    sync = Synchroniser(OWN, 51820, Names(lambda: None, Dns()), clock=lambda: 0.0)
    for number, scene in enumerate(steps(objects, changes)):
        try:
            wanted = wanted_of(
                scene.state(), name=NAME, now=NOW, granularity="location", memory=memory
            )
        except MeshError:
            continue
        sync.apply(wanted, host, routes, now=NOW, whole=not number)
        assert sync.state is not None
        assert_as_in_one_step(sync, host, wanted)


def assert_as_in_one_step(sync: Synchroniser, host: Host, wanted: Wanted) -> None:
    """Check device and routes, which were changed step by step."""
    endpoints = {key: one for key, one in sync.dialled.items() if one.address is not None}
    target = DeviceState(
        private_key=OWN,
        listen_port=51820,
        peers=wanted_peers(wanted.peers, endpoints, OWN.public_key()),
    )
    assert host.state == sync.state
    there = {key: replace(peer, endpoint=None) for key, peer in host.state.peers.items()}
    assert there == {key: replace(peer, endpoint=None) for key, peer in target.peers.items()}
    for key, endpoint in endpoints.items():
        if key in target.peers:
            assert host.state.peers[key].endpoint == endpoint
    outside = [
        peer.endpoint.address
        for peer in (*target.peers.values(), *host.state.peers.values())
        if peer.endpoint is not None and peer.endpoint.address is not None
    ]
    found = passage(wanted.routes, outside, host.others).routes
    assert host.present == {one for one in found if one.destination not in host.others}


@given(clusters(), st.lists(CHANGES, max_size=8))
def test_shared_addresses_are_the_same_at_another_look(
    objects: Objects, changes: list[Any]
) -> None:
    sharing, addresses = Sharing(), (cidr("10.5.0.1/24"), cidr("10.0.0.1/8"))
    for scene in steps(objects, changes):
        state = scene.state()
        assert sharing.look(state, NAME, addresses) == list(
            shared_addresses(state, NAME, addresses)
        )


def test_what_stays_is_the_same_object() -> None:
    memory = Memory()
    nodes = [cluster_node(number) for number in range(3)]
    state = state_of(Objects(nodes=nodes, peers=[OWN_PEER], passed_over={}))
    first = wanted_of(state, name=NAME, now=NOW, granularity="location", memory=memory)
    nodes[1] = nodes[1]._replace(pod_cidr="10.42.9.0/24")
    state = state_of(Objects(nodes=nodes, peers=[OWN_PEER], passed_over={}))
    second = wanted_of(state, name=NAME, now=NOW, granularity="location", memory=memory)
    assert [a is b for a, b in zip(first.peers, second.peers, strict=True)] == [True, False, True]
    known = set(map(id, first.routes))
    assert len([one for one in second.routes if id(one) not in known]) == len(second.routes) // 3


def cluster_node(number: int) -> NodeObject:
    annotations = {
        "key": str(KEYS[number]),
        "endpoint": f"203.0.113.{number}:51820",
        "internal-ip": f"172.16.0.{number}/24",
        "location": f"place-{number}",
        "last-seen": FAR_AHEAD,
    }
    prefixed = {f"kilo.squat.ai/{name}": text for name, text in annotations.items()}
    return NodeObject(f"n{number}", f"10.42.{number}.0/24", {}, prefixed)
