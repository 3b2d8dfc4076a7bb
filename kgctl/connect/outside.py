"""Addresses that have to be reached without the tunnel: it stands on them.

What a network is not granted on this host, since this host needs it itself.

Claims to such an address or network are refused (``guards``). Wider networks are granted, and the
routes to them are cut around single addresses (``kept_outside``), unless a narrower route of this
host's own keeps those safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.host.surroundings import Surroundings, remote_addresses
from kgctl.mesh.cidr import parse_address, single
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
"""Addresses of the API server that are remembered: a load balancer's name has many in turn."""


def dialled(state: DeviceState | None) -> frozenset[Address]:
    """Return the addresses to which a device sends."""
    peers = () if state is None else state.peers.values()
    endpoints = (peer.endpoint for peer in peers)
    return frozenset(one.address for one in endpoints if one is not None and one.address)


class Servers:
    """The addresses at which kgctl reaches the API server, or its proxy, by the name ``host``.

    Those of the connections that it really has come first: they are known before any name is
    looked up, and nobody who answers for a name has a say in them. The last ones are remembered.
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
        """Return them, as far as they are known. Loopback is no matter of routes."""
        for address in self._connections():
            self._known.pop(address, None)
            if not address.is_loopback:
                self._known[address] = None
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        known = [self._address] if self._address else self._names.addresses(self._host)
        return frozenset(one for one in (*known, *self._known) if not one.is_loopback)

    def look_up_again(self) -> None:
        """Have the name looked up again, if it is one: it may have moved."""
        if self._address is None:
            self._names.refresh(self._host)

    def is_lost(self) -> bool:
        """Tell whether nobody knows what the name stands for, if it is one."""
        return self._address is None and bool(self._names.problem(self._host))


class Guarding:
    """What this host needs itself, of which ``here`` is what was seen of it last.

    ``silence`` are the seconds since the API server was heard.
    """

    def __init__(self, options: Options, servers: Servers) -> None:
        self._options = options
        self._servers = servers
        self.here = Surroundings()
        self.silence = 0.0
        self._cut_off = False

    def guards(self) -> tuple[Guard, ...]:
        """Return what nobody in the network is granted."""
        return guards(self.here, self._servers.addresses(), self._options)

    def outside(self) -> frozenset[Address]:
        """Return the addresses that no route is to lead to."""
        kept = kept_outside(self.here, self._options, cut_off=self.is_cut_off())
        return kept | self._servers.addresses()

    def is_cut_off(self) -> bool:
        """Tell whether the API server is away, and nobody who was asked knew where it is.

        Then DNS servers that are reached through the tunnel may be the reason. It stays so until
        the server is heard: who follows it looks its name up again, up to 30 seconds later.
        """
        if self.silence < self._options.cut_off:
            self._cut_off = False
        elif self._servers.is_lost():
            self._cut_off = True
        return self._cut_off


def guards(here: Surroundings, servers: Collection[Address], options: Options) -> tuple[Guard, ...]:
    """Return what no node and no peer gets; ``servers`` are the API server's addresses.

    A default route of this host, and one that is nearly as wide, holds everything: it guards
    nothing. A DNS server is none that the person who joins has asked for by ``options``.
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
    """Return the addresses that no route is to lead to: gateways, and DNS servers.

    A DNS server within what the person who joins sends through the tunnel goes there as well, but
    where this host is ``cut_off``: then nothing can be asked there.
    """
    sent = () if cut_off else (*options.extra, *_accepted(options))
    resolvers = here.resolvers if cut_off else _asked(here, sent, options)
    return here.gateways | frozenset(resolvers)


def _own(network: Cidr) -> Guard:
    return Guard(network, Reason.OWN, str(network))


def _accepted(options: Options) -> tuple[Cidr, ...]:
    return tuple(one for networks in options.limits.accept.values() for one in networks)


def _asked(here: Surroundings, sent: Iterable[Cidr], options: Options) -> Iterator[Address]:
    """Yield the DNS servers that are not wanted in the tunnel, which holds what is ``sent``.

    systemd-resolved lists those of ``options`` among its own.
    """
    wanted = Guards(Guard(one.masked(), Reason.OWN) for one in sent)
    for address in sorted(here.resolvers - set(options.dns), key=int):
        if wanted.around(single(address)) is None:
            yield address
