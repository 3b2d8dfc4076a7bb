"""Addresses that must bypass the tunnel, and networks that this host needs itself.

Claims to such an address or network are refused (``guards``). Wider networks are granted, and their
routes are split around single addresses (``kept_outside``), unless a narrower route of this host
protects these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.host.surroundings import Surroundings, remote_addresses
from kgctl.mesh.cidr import parse_address, single, without_zone
from kgctl.mesh.guards import Guard, Guards, Reason
from kgctl.mesh.policy import WIDEST
from kgctl.mesh.routes import order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from kgctl.connect.interface import Options
    from kgctl.host.names import Names
    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.wireguard.device import DeviceState


_KEPT = 16
"""Number of API server addresses to remember: the name of a load balancer has changing ones."""


def dialled(state: DeviceState | None) -> Iterator[Address]:
    """Yield the addresses to which a device sends, without their zones."""
    for peer in () if state is None else state.peers.values():
        address = None if peer.endpoint is None else peer.endpoint.address
        if address is not None:
            yield without_zone(address)


class Servers:
    """The addresses of the API server, or its proxy, named ``host``.

    They include the remote addresses of kgctl's connections, which are known before any name is
    resolved and which no DNS answer can forge. The latest ones are remembered.
    """

    def __init__(
        self,
        host: str,
        names: Names,
        connections: Callable[[], frozenset[Address]] = remote_addresses,
    ) -> None:
        self._host = host
        self._names = names
        self._connections = connections
        self._address = parse_address(host)
        self._known: dict[Address, None] = {}
        if self._address is None:
            names.keep_first(host)

    def addresses(self) -> frozenset[Address]:
        """Return the known addresses, except loopback, to which routes do not apply."""
        for address in self._connections():
            self._known.pop(address, None)
            if not address.is_loopback:
                self._known[address] = None
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        known = [self._address] if self._address else self._names.addresses(self._host)
        return frozenset(one for one in (*known, *self._known) if not one.is_loopback)

    def look_up_again(self) -> None:
        """Resolve the host name again, since its address may have changed."""
        if self._address is None:
            self._names.refresh(self._host)

    def is_lost(self) -> bool:
        """Return whether the host is a name that cannot be resolved."""
        return self._address is None and bool(self._names.problem(self._host))


class Guarding:
    """The addresses and networks that this host needs itself.

    ``here`` are the surroundings as last read; ``silence`` is the time in seconds since the API
    server's last answer.
    """

    def __init__(self, options: Options, servers: Servers) -> None:
        self._options = options
        self._servers = servers
        self.here = Surroundings()
        self.silence = 0.0
        self._cut_off = False

    def guards(self) -> tuple[Guard, ...]:
        """Return the networks that no node and no peer is granted."""
        return guards(self.here, self._servers.addresses(), self._options)

    def outside(self) -> frozenset[Address]:
        """Return the addresses that no route may cover."""
        kept = kept_outside(self.here, self._options, cut_off=self.is_cut_off())
        return kept | self._servers.addresses()

    def is_cut_off(self) -> bool:
        """Return whether the API server is silent and its name cannot be resolved.

        DNS servers inside the tunnel may be the cause. The result stays True until the server
        answers: the informers resolve its name again, up to 30 seconds later.
        """
        if self.silence < self._options.cut_off:
            self._cut_off = False
        elif self._servers.is_lost():
            self._cut_off = True
        return self._cut_off


def guards(here: Surroundings, servers: Collection[Address], options: Options) -> tuple[Guard, ...]:
    """Return the networks that no node and no peer gets; ``servers``: the API server's addresses.

    A default route of this host, or one nearly as wide, covers everything and guards nothing. DNS
    servers that ``options`` send through the tunnel are not guarded.
    """
    found: list[Guard] = []
    for address in sorted(servers, key=int):
        words = f"{address}, at which kgctl reaches the API server"
        found.append(Guard(single(address), Reason.API_SERVER, words))
    found += (
        Guard(single(address), Reason.GATEWAY, f"{address}, a gateway of this host")
        for address in sorted(here.gateways, key=int)
    )
    for address in _asked(here, _accepted(options), options):
        words = f"{address}, a DNS server of this host"
        found.append(Guard(single(address), Reason.RESOLVER, words))
    found += (_own(single(address)) for address in sorted(here.addresses, key=int))
    networks = (network for network in here.networks if network.prefix >= WIDEST)
    found += map(_own, sorted(networks, key=order))
    return tuple(found)


def kept_outside(here: Surroundings, options: Options, *, cut_off: bool) -> frozenset[Address]:
    """Return the addresses that no route may cover: gateways and DNS servers.

    A DNS server in a network that the user sends through the tunnel goes there as well, unless this
    host is ``cut_off``: then the servers in the tunnel do not answer.
    """
    sent = () if cut_off else (*options.extra, *_accepted(options))
    resolvers = here.resolvers if cut_off else _asked(here, sent, options)
    return here.gateways | frozenset(resolvers)


def _own(network: Cidr) -> Guard:
    return Guard(network, Reason.OWN, str(network))


def _accepted(options: Options) -> tuple[Cidr, ...]:
    return tuple(one for networks in options.limits.accept.values() for one in networks)


def _asked(here: Surroundings, sent: Iterable[Cidr], options: Options) -> Iterator[Address]:
    """Yield the DNS servers outside ``sent``, the networks that go through the tunnel.

    The DNS servers of ``options`` are skipped: systemd-resolved lists them among its own.
    """
    wanted = Guards(Guard(one.masked(), Reason.OWN) for one in sent)
    for address in sorted(here.resolvers - set(options.dns), key=int):
        if wanted.around(single(address)) is None:
            yield address
