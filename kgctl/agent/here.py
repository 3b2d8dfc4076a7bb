"""What an agent sees of its own machine: its addresses, its MTU, and what nobody else may claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.agent.addresses import Chosen, LinkAddress, Machine, choose
from kgctl.host.encapsulation import CILIUM_HOST, CILIUM_TUNNEL, FLANNEL, IPIP
from kgctl.mesh.agent_plan import Compatibility
from kgctl.mesh.cidr import single
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.node_grants import NodeGuards
from kgctl.mesh.policy import WIDEST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from kgctl.agent.interface import Settings
    from kgctl.host.interfaces import Interfaces, LinkState
    from kgctl.mesh.cidr import Address, Cidr

OVERHEAD = 80
"""Bytes that WireGuard adds to a packet: to one in IPv6, as wg-quick reckons."""

_DEFAULT_MTU = 1420
_BRIDGES = ("kube-bridge",)
_OWN_LINKS = (IPIP, FLANNEL, CILIUM_TUNNEL, CILIUM_HOST)


class Here(NamedTuple):
    """The machine at a moment. ``mtu`` is that of the WireGuard interface, in bytes.

    ``private`` is the link of the internal IP. ``cni_address`` is that of the network plugin's own
    link, to which other nodes encapsulate. ``guards`` are of what the machine needs, without the
    API server.
    """

    chosen: Chosen
    private: LinkState | None
    cni_address: Cidr | None
    mtu: int
    guards: NodeGuards


def here_of(interfaces: Interfaces, settings: Settings, named: Collection[Address]) -> Here:
    """Return what the agent sees; ``named`` are the addresses that its hostname resolves to.

    Raises:
        HostError: the machine has no usable address.
    """
    ours = {settings.interface, *_OWN_LINKS}
    names = {number: link.name for number, link in interfaces.links.items()}
    found = [
        LinkAddress(names[number], cidr) for number, cidr in interfaces.addresses if number in names
    ]
    default = interfaces.links.get(interfaces.default_link or 0)
    machine = Machine(tuple(found), default.name if default else None, frozenset(named))
    left_out = (*ours, *_BRIDGES)
    chosen = choose(machine, left_out=left_out, internal=settings.internal_cidrs)
    mtu = settings.mtu
    if mtu is None:
        mtu = default.mtu - OVERHEAD if default is not None else _DEFAULT_MTU
    # nobody gets loopback and link-local networks anyway
    others = [one for one in found if one.link not in ours and not _is_special(one.cidr.address)]
    guards = NodeGuards(
        own=tuple(_addresses(others)),
        needed=tuple(_gateways(interfaces)),
        networks=tuple(_networks(others)),
    )
    private = None if chosen.link is None else interfaces.link(chosen.link)
    compatibility = settings.plan.compatibility
    return Here(chosen, private, cni_address(interfaces, compatibility), mtu, guards)


def cni_address(interfaces: Interfaces, compatibility: Compatibility) -> Cidr | None:
    """Return the IPv4 address of Cilium's host interface, if that is what the agent works with."""
    link = interfaces.link(CILIUM_HOST) if compatibility is Compatibility.CILIUM else None
    if link is None:
        return None
    own = (cidr for number, cidr in interfaces.addresses if number == link.number)
    return min((cidr for cidr in own if cidr.version == 4), default=None)


def _is_special(address: Address) -> bool:
    return address.is_loopback or address.is_link_local


def _gateways(interfaces: Interfaces) -> Iterator[Guard]:
    for gateway in sorted(interfaces.gateways, key=int):
        words = f"{gateway}, a gateway of this host"
        yield Guard(single(gateway), Reason.GATEWAY, words, cut=True)


def _addresses(others: Sequence[LinkAddress]) -> Iterator[Guard]:
    for address in sorted({one.cidr.address for one in others}, key=int):
        yield Guard(single(address), Reason.OWN, str(address))


def _networks(others: Sequence[LinkAddress]) -> Iterator[Guard]:
    networks = {one.cidr.masked() for one in others if one.cidr.prefix >= WIDEST}
    for network in sorted(networks, key=str):
        yield Guard(network, Reason.OWN, str(network))


def guards_of_servers(servers: Collection[Address]) -> tuple[Guard, ...]:
    """Return guards of the API server's addresses, which are cut out of wider networks."""
    return tuple(
        Guard(
            single(address),
            Reason.API_SERVER,
            f"{address}, at which the agent reaches the API server",
            cut=True,
        )
        for address in sorted(servers, key=int)
    )
