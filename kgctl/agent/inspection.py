"""What an agent would change on its machine, without changing it: a whole round that only looks.

The round is that of ``kgctl.agent.rounds``; only the parts that it works on are others, which note
what they would change. Two rounds are needed: by the first, the agent learns whether it leads.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from kgctl.agent.announcer import Announcer
from kgctl.agent.installed import encapsulation_of, firewall_programs, parameters, tunnel_mtu
from kgctl.agent.rounds import Rounds
from kgctl.connect.journal import Journal
from kgctl.connect.outside import Servers
from kgctl.errors import KgctlError
from kgctl.host.differences import Difference, Part
from kgctl.host.firewall import FirewallRules
from kgctl.host.interfaces import addresses_of_name, read_interfaces
from kgctl.host.names import SECONDS, Names
from kgctl.host.node import NodeNetwork
from kgctl.host.node_link import InspectedLink
from kgctl.host.sysctls import Sysctls
from kgctl.wireguard.conf import Configuration, Interface
from kgctl.wireguard.drift import Drift, Kind, drift
from kgctl.wireguard.dump import Device, DevicePeer
from kgctl.wireguard.keys import read_private_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kgctl.agent.interface import Settings
    from kgctl.agent.rounds import Decided
    from kgctl.host.interfaces import LinkState
    from kgctl.host.node_record import NodeRecordFile
    from kgctl.mesh.agent_plan import AgentPlan
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.policy import Refusal
    from kgctl.state.interface import Objects
    from kgctl.wireguard.device import DeviceState
    from kgctl.wireguard.keys import PrivateKey


class Inspection(NamedTuple):
    """What an agent of this machine would do.

    ``decided`` is what the node is to be; None if it takes no part, for which ``problems`` has the
    reason. ``differences`` are those of the machine, ``drifts`` those of the WireGuard ``device``;
    ``wanted_peers`` is the number of peers that it should have. ``inside`` has the peers that the
    device dials through its own tunnel. ``unread`` are parts of the machine that cannot be
    compared. ``names`` are the names of peers by the text of their key.
    """

    decided: Decided | None
    problems: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    drifts: tuple[Drift, ...] = ()
    wanted_peers: int = 0
    inside: Mapping[PublicKey, Endpoint] = {}
    device: DeviceState | None = None
    refused: Sequence[Refusal] = ()
    unread: tuple[str, ...] = ()
    names: Mapping[str, str] = {}


class InspectedNetwork:
    """A ``NodeNetwork`` of ``kgctl.agent.interface`` that notes what it would change."""

    def __init__(self, settings: Settings, record: NodeRecordFile) -> None:
        self._settings = settings
        self._record = record
        self._tunnel = encapsulation_of(settings, record)
        self._firewall, self._other = firewall_programs(settings.firewall)
        self.differences: list[Difference] = []
        self.failures: list[KgctlError] = []

    def apply(self, plan: AgentPlan, *, private: LinkState | None, whole: bool) -> list[KgctlError]:
        """Note how the machine differs from a plan; ``whole`` or not, all of it is read."""
        self.differences, self.failures = [], []
        tunnel = self._tunnel_of(plan, private)
        for name, value in parameters(Sysctls(), plan, [self._settings.interface, tunnel]).items():
            found = Sysctls().read(name)
            self.differences.append(Difference(Part.PARAMETER, value, found, name))
        network = NodeNetwork(
            wireguard=self._settings.interface,
            tunnel=tunnel,
            private=private and private.name,
            firewall=self._firewall,
            record=self._record,
        )
        try:
            self.differences += network.differences(plan, self.failures)
        finally:
            network.close()
        # without that program there are none of its rules
        with suppress(KgctlError):
            self.differences += self._other.differences(FirewallRules())
        return []

    def _tunnel_of(self, plan: AgentPlan, private: LinkState | None) -> str | None:
        """Return the name of the interface for packets within the location, and compare it."""
        if self._tunnel is None or not plan.tunnels:
            return None
        try:
            found = self._tunnel.find()
            self.differences += self._tunnel.differences(
                found, address=plan.tunnel_address, mtu=tunnel_mtu(private)
            )
        except KgctlError as error:
            self.failures.append(error)
            return None
        return None if found is None else found.link.name

    def clean_up(self, failed: Callable[[str, KgctlError], None]) -> None:
        """Remove nothing."""

    def close(self) -> None:
        """Close every socket."""
        if self._tunnel is not None:
            self._tunnel.close()

    def firewall_operations(self) -> Mapping[tuple[str, str, str, str], int]:
        """Return the numbers of calls of the firewall program."""
        return self._firewall.operations


class _Silent(Announcer):
    """Announces nothing."""

    def want(self, wanted: Mapping[str, str], present: Mapping[str, str]) -> None: ...


def inspect(
    settings: Settings, objects: Objects, record: NodeRecordFile, *, host: str
) -> Inspection:
    """Compare this machine with what an agent with ``settings`` would set; nothing is changed.

    ``host`` is that of the API server's URL, which the agent needs outside of the tunnel.

    Raises:
        kgctl.errors.KgctlError: the key file or the machine cannot be read.
    """
    key = read_private_key(settings.key_file).clamped()
    journal = Journal(lambda _line: None, level="none")
    names = Names(lambda: None)
    link, network = InspectedLink(settings.interface), InspectedNetwork(settings, record)
    rounds = Rounds(
        settings,
        key,
        link,
        network,
        _Silent(lambda _changes: None, journal, lambda: None),
        names,
        Servers(host, names),
        journal,
        interfaces=read_interfaces,
        named=addresses_of_name(settings.hostname),
    )
    try:
        for _ in range(2):
            rounds.apply(objects, time.time(), whole=True)
            names.settle(SECONDS)
        return inspection_of(rounds, link, network, key, time.time())
    finally:
        network.close()
        link.close()


def inspection_of(
    rounds: Rounds, link: InspectedLink, network: InspectedNetwork, key: PrivateKey, now: float
) -> Inspection:
    """Return what the last round noted; handshakes are judged at ``now`` (Unix seconds)."""
    decided = rounds.decided
    if decided is None:
        return Inspection(None, rounds.problems)
    device = link.device.read() if link.exists else None
    found = Inspection(
        decided,
        rounds.problems,
        (*link.differences.values(), *network.differences),
        device=device,
        refused=rounds.refused,
        unread=tuple(map(str, network.failures)),
        names=rounds.peer_names,
    )
    configuration = _outward(decided, rounds.inside)
    count = len(configuration.peers)
    if device is None:
        return found._replace(wanted_peers=count)
    looping = {
        one: peer.endpoint
        for one, peer in device.peers.items()
        if peer.endpoint is not None and rounds.inside(peer.endpoint)
    }
    # a node that does not lead keeps its key and port
    own = key.public_key() if decided.plan.leads else None
    drifts = drift(dumped(link.name, device, own), configuration, own, now)
    return found._replace(drifts=tuple(drifts), wanted_peers=count, inside=looping)


def _outward(decided: Decided, is_inside: Callable[[Endpoint | None], bool]) -> Configuration:
    """Return the wanted configuration, without endpoints inside the tunnel; nobody dials those."""
    if decided.configuration is None:
        return Configuration()
    peers = tuple(
        one._replace(endpoint=None) if is_inside(one.endpoint) else one
        for one in decided.configuration.peers
    )
    return Configuration(Interface(listen_port=decided.port), peers)


def dumped(name: str, device: DeviceState, own: PublicKey | None) -> Device:
    """Return a device in the form of ``wg show dump``; without ``own``, its key is left out."""
    key = None if device.private_key is None else device.private_key.public_key()
    peers = tuple(
        DevicePeer(
            one.public_key,
            tuple(sorted(one.allowed_ips, key=str)),
            one.endpoint,
            one.persistent_keepalive,
            one.preshared_key,
            int(one.last_handshake),
        )
        for one in device.peers.values()
    )
    keyless = own is not None and key is None
    return Device(name, None if own is None else key, device.listen_port, peers, keyless)


def without_handshakes(drifts: Sequence[Drift]) -> list[Drift]:
    """Return the differences that an agent would mend: not those of sessions."""
    return [one for one in drifts if one.is_fault and one.kind is not Kind.HANDSHAKE]
