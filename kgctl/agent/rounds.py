"""The rounds of an agent: what the cluster says becomes the state of this node.

A round that brings nothing new for this node ends before anything of the machine is read or
written. A whole round, once a period, also looks at the machine, and mends what others changed.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kgctl.agent.announcement import Announcement, in_force
from kgctl.agent.cni import manage_cni
from kgctl.agent.heartbeats import Heartbeats
from kgctl.agent.here import guards_of_servers, here_of
from kgctl.agent.inside import Inside
from kgctl.agent.interface import Figures
from kgctl.connect.rounds import Parser, Refusals, known_refusals
from kgctl.errors import KgctlError, MeshError
from kgctl.host.record import KnownPeer, KnownProblem, Record, Since
from kgctl.mesh.agent_plan import agent_plan
from kgctl.mesh.node import READY_SECONDS
from kgctl.mesh.node_grants import limited_on_node, seen_by_node
from kgctl.mesh.owners import Present
from kgctl.mesh.state import AUTO
from kgctl.mesh.topology import LOCATION
from kgctl.state.follow import Once
from kgctl.state.objects import node_of
from kgctl.steady import steady
from kgctl.wireguard.conf import node_configuration
from kgctl.wireguard.device import (
    DeviceChange,
    DeviceState,
    applied,
    outward_change,
    wanted_peers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from kgctl.agent.announcer import Announcer
    from kgctl.agent.here import Here
    from kgctl.agent.interface import NodeNetwork, Settings
    from kgctl.connect.journal import Journal
    from kgctl.connect.outside import Servers
    from kgctl.host.interfaces import Interfaces
    from kgctl.host.names import Names
    from kgctl.host.node_link import NodeLink
    from kgctl.kube.objects import NodeObject
    from kgctl.mesh.agent_plan import AgentPlan
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Refusal
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects
    from kgctl.wireguard.conf import Configuration
    from kgctl.wireguard.keys import PrivateKey


class Decided(NamedTuple):
    """What a node is to be: its plan, its WireGuard configuration if it leads, and its MTU.

    ``port`` is the UDP port to listen at: that of its endpoint.
    """

    plan: AgentPlan
    configuration: Configuration | None
    port: int
    mtu: int


class Rounds:
    """The rounds of the agent of one node.

    ``interfaces`` reads those of the machine; ``named`` are the addresses that the hostname
    resolves to. ``installed`` is what is set on the machine: its routes, rules and firewall.
    ``record`` keeps what ``kgctl status`` shows; ``earlier`` is the record of an earlier process,
    in which states may have begun that last.
    """

    def __init__(
        self,
        settings: Settings,
        key: PrivateKey,
        link: NodeLink,
        installed: NodeNetwork,
        announcer: Announcer,
        names: Names,
        servers: Servers,
        journal: Journal,
        *,
        interfaces: Callable[[], Interfaces],
        named: Collection[Address] = (),
        record: Callable[[Record], None] = lambda _record: None,
        earlier: Record | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._key = key
        self._public_key = key.public_key()
        self._link = link
        self._installed = installed
        self._announcer = announcer
        self._names = names
        self._servers = servers
        self._journal = journal
        self._interfaces = interfaces
        self._named = named
        self._record = record
        self._started = int(clock())
        self._since = Since(_earlier_times(earlier, settings.hostname), clock)
        self._problems: tuple[str, ...] = ()
        self._parser = Parser(settings.topology_label)
        self._heartbeats = Heartbeats()
        self._refusals = Refusals(journal)
        self._here: Here | None = None
        self._device: DeviceState | None = None
        self._heard: Mapping[PublicKey, Endpoint] | None = None
        self._granularity = LOCATION
        self._given: dict[PublicKey, Endpoint] = {}
        self._inside = Inside()
        self._asked: tuple[object, ...] | None = None
        self._refused: list[Refusal] = []
        self._refusal_counts: Counter[tuple[str, str]] = Counter()
        self._peer_names: dict[str, str] = {}
        self._decided: Decided | None = None
        self._unset = True
        self._trouble, self._pods_trouble = Once(journal.warn), Once(journal.warn)
        self.seen: tuple[State, float] | None = None
        self._clock = clock
        self.stale_at = self.expires_at = float("inf")
        self._errors: Counter[str] = Counter()
        self.figures = Figures()

    def forget(self) -> None:
        """Forget what was set: the next round looks at the machine."""
        self._here = self._asked = self._device = None
        self._unset = True

    def count_error(self, event: str) -> None:
        """Count an error under one of the reference's events; see ``Figures``. For any thread."""
        self._errors[event] += 1
        self.figures = self.figures._replace(errors=dict(self._errors))

    def apply(
        self, objects: Objects, now: float, *, whole: bool, after_outage: bool = False
    ) -> bool:
        """Set up this node as the cluster says; heartbeats are judged at ``now`` (Unix seconds).

        Peers expire by the clock, which goes on while heartbeats are judged as of an earlier time.

        Shortly ``after_outage`` of the API server, its heartbeats may be old ones of a backup.
        Returns whether every step succeeded; those that failed are logged and counted.

        Raises:
            KgctlError: the machine cannot be read.
        """
        began = steady()
        state, clock = self._parser.state(objects), self._clock()
        self.expires_at = state.next_expiry(clock)
        state = self._heartbeats.kept(state.unexpired(clock), after_outage=after_outage)
        source = next((one for one in objects.nodes if one.name == self._settings.hostname), None)
        if source is None:
            self._hold(f'there is no Node "{self._settings.hostname}": waiting for it')
            return True
        whole = whole or self._here is None
        if whole:
            self._look()
        self._granularity = self._granularity_in(state, now)
        own = self._own(source, now)
        if whole:
            self._manage_pods(own)
        state = self._resolved(_with(state, own, self._discovered(state, own)))
        self.seen = state, now
        self.stale_at = _stale_at(state, own.name, now)
        failures = self._settle(state, own, now, whole=whole)
        self._announce(source)
        self._count(state, now, steady() - began)
        for error in failures:
            self.count_error("apply")
            self._journal.error("failed to apply", err=error)
        return not failures

    # --- what there is ---

    def _granularity_in(self, state: State, now: float) -> str:
        """Return the granularity; ``auto`` is that of the first other ready node."""
        if self._settings.granularity != AUTO:
            return self._settings.granularity
        own = self._settings.hostname
        others = (one.granularity for one in state.ready_nodes(now) if one.name != own)
        return next((one for one in others if one), LOCATION)

    def _look(self) -> None:
        """Look at the machine: its addresses, its link, its device."""
        self._here = here_of(self._interfaces(), self._settings, self._named)
        if self._link.open():
            self._unset = True
        self._device = self._link.device.read()

    def _manage_pods(self, own: Node) -> None:
        """Put the pod CIDR into the CNI file."""
        if self._settings.cni_file is None or own.subnet is None:
            return
        done = manage_cni(self._settings.cni_file, own.subnet)
        if done.changed:
            self._journal.info("set the pod CIDR in the CNI configuration", CIDR=own.subnet)
        if done.finding:
            self._pods_trouble.tell(done.finding)
        else:
            self._pods_trouble.over()

    def _own(self, source: NodeObject, now: float) -> Node:
        """Return the own node with what is in force now, whatever its annotations say."""
        annotations = {**source.annotations, **self._announcement(source).annotations(now)}
        return node_of(
            source._replace(annotations=annotations), topology_label=self._settings.topology_label
        )

    def _announcement(self, source: NodeObject) -> Announcement:
        assert self._here is not None
        forced = in_force(
            source.annotations,
            self._here.chosen,
            port=self._settings.port,
            prioritise_private=self._settings.prioritise_private,
        )
        decided, address = self._decided, None
        if decided is not None and decided.plan.leads:
            address = decided.plan.wireguard_address
        return Announcement(
            forced,
            self._public_key,
            self._granularity,
            wireguard_ip=address,
            discovered=self._heard,
            cni_compatibility_ip=self._here.cni_address,
        )

    def _discovered(self, state: State, own: Node) -> Mapping[PublicKey, Endpoint]:
        """Return the endpoints of nodes that keep their sessions alive, and of peers.

        A node that does not lead hears nobody.
        """
        device = self._device
        if device is None or self._decided is None:
            return {}
        if not self._decided.plan.leads:
            self._heard = {}
            return self._heard
        keys = {one.key for one in state.nodes if one.persistent_keepalive and one.name != own.name}
        keys |= {one.public_key for one in state.peers}
        self._heard = {
            key: peer.endpoint
            for key, peer in device.peers.items()
            if key in keys and peer.last_handshake and peer.endpoint is not None
            if not self._inside.has(peer.endpoint)
        }
        return self._heard

    def _resolved(self, state: State) -> State:
        """Return the state with addresses for the endpoints of nodes that are names.

        Leaders are elected by them. Names that are not resolved yet stay names.
        """
        nodes: tuple[Node, ...] = state.nodes
        of_nodes = _host_names(nodes)
        self._names.retain(of_nodes | _host_names(state.peers))
        if of_nodes:
            nodes = tuple(map(self._with_address, nodes))
        return state._replace(nodes=nodes)

    def _with_address(self, node: Node) -> Node:
        endpoint = self._dialled(node.endpoint)
        return node if endpoint is None else node._replace(endpoint=endpoint)

    def _dialled(self, endpoint: Endpoint | None) -> Endpoint | None:
        """Return an endpoint with its address; None if there is none, or none yet."""
        if endpoint is None or not isinstance(endpoint.host, str):
            return endpoint
        address = self._names.address(endpoint.host)
        return None if address is None else endpoint._replace(host=address)

    # --- what is to be ---

    def _settle(self, state: State, own: Node, now: float, *, whole: bool) -> list[KgctlError]:
        try:
            decided, changed = self._decide(state, own, now)
        except MeshError as error:  # this node takes no part: nothing changes
            self._hold(f"this node takes no part in the network: {error}")
            return []
        self._trouble.over()
        if not (changed or whole or self._unset or self._problems):
            return []
        failures = self._set(decided, whole=whole or self._unset)
        self._decided, self._unset = decided, bool(failures)
        self._refusals.report(self._refused)
        unwritten = self._note(*map(self._journal.worded, failures))
        return failures if unwritten is None else [*failures, unwritten]

    def _decide(self, state: State, own: Node, now: float) -> tuple[Decided, bool]:
        """Return what this node is to be, and whether that was computed anew.

        Raises:
            MeshError: it takes no part.
        """
        assert self._here is not None
        settings = self._settings
        topology, refusals = seen_by_node(
            state,
            own,
            now=now,
            granularity=self._granularity,
            subnet=settings.subnet,
            limits=settings.limits,
        )
        servers = guards_of_servers(self._servers.addresses())
        asked = (_without_heartbeats(topology), self._here, servers, refusals)
        if asked == self._asked and self._decided is not None:
            return self._decided, False
        guards = self._here.guards
        found = limited_on_node(
            topology,
            own.name,
            settings.limits,
            guards._replace(needed=(*guards.needed, *servers)),
            present=self._present(topology),
        )
        segment = found.topology.segment_of(own.name)
        if segment is not None:
            own = next(one for one in segment.nodes if one.name == own.name)
        plan = agent_plan(found.topology, own, settings.plan)
        port = settings.port if own.endpoint is None else own.endpoint.port
        configuration = None
        if plan.leads:
            configuration = node_configuration(found.topology, own, listen_port=port)
        self._asked = asked
        self._refused = [*refusals, *found.refusals]
        self._refusal_counts = Counter((one.claimer, str(one.reason)) for one in self._refused)
        self._peer_names = _names(found.topology)
        return Decided(plan, configuration, port, self._here.mtu), True

    def _present(self, topology: Topology) -> Present:
        """Return the peers that the device has: they keep their keys and networks."""
        device = self._device
        if device is None:
            return Present()
        names = {one.key: one.leader.name for one in topology.segments}
        names |= {one.public_key: one.name for one in topology.peers if one.public_key}
        known = {key: names[key] for key in device.peers if key in names}
        networks = {cidr: key for key, peer in device.peers.items() for cidr in peer.allowed_ips}
        return Present(known, networks)

    # --- setting it ---

    def _set(self, decided: Decided, *, whole: bool) -> list[KgctlError]:
        plan, before, failures = decided.plan, self._decided, []
        changed = before is None or before.plan != plan
        earlier, inside = self._inside, Inside(plan) if changed else self._inside
        try:
            whole |= self._link.dress(plan.wireguard_address, mtu=decided.mtu)
            if decided.configuration is not None:
                self._set_device(decided, lambda one: inside.has(one) or earlier.has(one))
            whole |= self._link.set_up(plan.leads)
            if decided.configuration is None:
                self._silence_device()
        except KgctlError as error:
            self.forget()
            failures.append(error)
        if whole or changed:
            assert self._here is not None
            failures += self._installed.apply(plan, private=self._here.private, whole=whole)
        if changed and before is not None and decided.configuration is not None and not failures:
            # what the routes led into the tunnel before can be dialled now
            try:
                self._set_device(decided, inside.has)
            except KgctlError as error:
                self.forget()
                failures.append(error)
        self._inside = inside
        return failures

    def _set_device(self, decided: Decided, is_inside: Callable[[Endpoint | None], bool]) -> None:
        """Set the device; nothing inside the tunnel is dialled, or stays an endpoint."""
        configuration = decided.configuration
        assert configuration is not None  # the node leads
        present = self._device or self._link.device.read()
        endpoints = {
            one.public_key: endpoint
            for one in configuration.peers
            if (endpoint := self._dialled(one.endpoint)) is not None and not is_inside(endpoint)
        }
        wanted = DeviceState(
            private_key=self._key,
            listen_port=decided.port,
            peers=wanted_peers(configuration.peers, endpoints, self._public_key),
        )
        change = outward_change(
            present, wanted, given=self._given, now=time.time(), is_inside=is_inside
        )
        if change:
            self._link.device.apply(change)
            present = applied(present, change)
            self._journal.debug("configured the device", peers_changed=len(change.peers))
        self._given = endpoints
        self._device = present

    def _silence_device(self) -> None:
        """Remove all peers of the device of a node that does not lead.

        Their sessions end with the link anyway; but wireguard-go goes on calling the peers of a
        link that is down, and occupies the router's mapping of the port with it.
        """
        present = self._device or self._link.device.read()
        change = DeviceChange(remove=tuple(present.peers))
        if change:
            self._link.device.apply(change)
        self._given, self._device = {}, applied(present, change)

    # --- what is told ---

    @property
    def decided(self) -> Decided | None:
        """What the node is to be, as of the last round; None while it takes no part."""
        return self._decided

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the last round did not set the node up, or not all of it; empty if it did."""
        return self._problems

    @property
    def refused(self) -> Sequence[Refusal]:
        """The claims that the last round refused."""
        return self._refused

    @property
    def peer_names(self) -> Mapping[str, str]:
        """The names of leaders and peers, by the text of their keys."""
        return self._peer_names

    def inside(self, endpoint: Endpoint | None) -> bool:
        """Return whether packets to an endpoint go into the node's own tunnel.

        The name of a host counts by its address, if that is known.
        """
        return self._inside.has(self._dialled(endpoint))

    def _note(self, *problems: str) -> KgctlError | None:
        """Record the round, with its problems; return the error if that fails."""
        self._problems = problems
        try:
            self._record(self._known(self._decided))
        except KgctlError as error:
            return error
        return None

    def _hold(self, trouble: str) -> None:
        """Tell, and record, why nothing is set."""
        self._trouble.tell(trouble)
        if self._problems != (trouble,):
            self._note(trouble)

    def _known(self, decided: Decided | None) -> Record:
        """Return the peers of the device, with what kgctl knows of each, and the refusals."""
        names, peers = self._peer_names, {}
        configuration = None if decided is None else decided.configuration
        sections = () if configuration is None else configuration.peers
        for one in sections:
            host = None if one.endpoint is None else one.endpoint.host
            peers[str(one.public_key)] = KnownPeer(
                name=names.get(str(one.public_key), ""),
                wanted_endpoint=str(one.endpoint or ""),
                endpoint=str(self._given.get(one.public_key, "")),
                problem=self._names.problem(host) if isinstance(host, str) else "",
            )
        refusals = {one.message: one for one in known_refusals(self._refused)}
        since = self._since.times([*self._problems, *refusals])
        return Record(
            interface=self._settings.interface,
            pid=os.getpid(),
            peers=peers,
            refusals=tuple(replace(one, since=since[text]) for text, one in refusals.items()),
            node=self._settings.hostname,
            started=self._started,
            problems=tuple(
                KnownProblem(message=text, since=since[text]) for text in self._problems
            ),
        )

    def _announce(self, source: NodeObject) -> None:
        wanted = self._announcement(source).annotations(time.time())
        self._announcer.want(wanted, source.annotations)

    def _count(self, state: State, now: float, took: float) -> None:
        before, decided = self.figures, self._decided
        self.figures = Figures(
            ready=decided is not None,
            leads=decided is not None and decided.plan.leads,
            nodes=len(state.ready_nodes(now)),
            peers=len(state.ready_peers(now)),
            reconciles=before.reconciles + 1,
            reconcile_seconds=(took, before.reconcile_seconds[1] + took),
            errors=dict(self._errors),
            firewall_operations=self._installed.firewall_operations(),
            refusals=self._refusal_counts,
            device=self._device,
            names=self._peer_names,
        )


def _earlier_times(earlier: Record | None, node: str) -> dict[str, int]:
    """Return since when states of a node last, by the record of an earlier agent of it."""
    if earlier is None or earlier.node != node:
        return {}
    return {one.message: one.since for one in earlier.problems} | {
        one.message: one.since for one in earlier.refusals
    }


def _with(state: State, own: Node, discovered: Mapping[PublicKey, Endpoint]) -> State:
    """Return the state with the own node as it is now."""
    own = own._replace(discovered_endpoints=discovered)
    return state._replace(nodes=tuple(own if one.name == own.name else one for one in state.nodes))


def _host_names(objects: Iterable[Node | Peer]) -> set[str]:
    """Return the names among the hosts of endpoints."""
    endpoints = (one.endpoint for one in objects)
    return {one.host for one in endpoints if one is not None and isinstance(one.host, str)}


def _stale_at(state: State, own: str, now: float) -> float:
    """Return when the heartbeat of the next node becomes too old; infinite if none will."""
    beats = [one.last_seen for one in state.nodes if one.name != own and one.is_ready(now)]
    return min(beats) + READY_SECONDS if beats else float("inf")


def _without_heartbeats(topology: Topology) -> Topology:
    return topology._replace(
        segments=tuple(
            one._replace(nodes=tuple(_still(node) for node in one.nodes), leader=_still(one.leader))
            for one in topology.segments
        )
    )


def _still(node: Node) -> Node:
    """Return a node without what a round does not depend on."""
    return node._replace(last_seen=0, wireguard_ip=None, discovered_endpoints={})


def _names(topology: Topology) -> dict[str, str]:
    """Return the names of the leaders and peers, by the text of their keys."""
    names = {str(one.key): one.leader.name for one in topology.segments}
    return names | {str(one.public_key): one.name for one in topology.peers}
