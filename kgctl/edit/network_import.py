"""Machines of a network, merged from files of other programs.

A machine is known by its public key: several files that describe it are merged. A file says what
addresses its own machine has, and which networks it sends to its peers; of a peer without a file,
the addresses are those that others send to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kgctl.edit.enrolment import InUseError
from kgctl.errors import InputError
from kgctl.mesh.allocation import Claims, PoolExhaustedError, claims_beside
from kgctl.mesh.cidr import Cidr, single
from kgctl.mesh.claims import Claim, Use
from kgctl.mesh.endpoint import Endpoint, parse_endpoint, parse_host
from kgctl.mesh.peer import NAT_KEEPALIVE
from kgctl.mesh.text import printable, some
from kgctl.wireguard.machine_names import valid_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.state import State
    from kgctl.wireguard.foreign_files import ForeignFile, OwnMachine
    from kgctl.wireguard.keys import PrivateKey

_SHOWN = 8  # networks and names in a note; the rest is counted
_EVERYTHING = 1
"""The longest prefix of routes for all traffic: 0.0.0.0/0, or its halves."""
_POOL_PREFIXES = {4: 24, 6: 64}
"""Networks around addresses that a file gives without one, as ``learned_pools`` has them."""
_SMALLEST_POOL = 2  # host bits
_INTERFACE = re.compile(r"(?:a?wg|u?tun|wireguard|config|stdin|server|peers?)?-?[0-9]*")
_CLIENT_FILE = re.compile(r"a?wg[0-9]*-client-(?P<name>.+)")  # of angristan's script
_BASE = 56  # characters of a name before a number


class ImportFailedError(InputError):
    """The files lack what a network needs, or contradict each other."""


class Wishes(NamedTuple):
    """What the files may not say.

    ``endpoints`` are texts ``HOST[:PORT]`` by the name of the machine; that of the empty name is
    for the machine that a file is for. An empty text leaves the machine without one.
    ``public_key`` is that of a file without a key.
    """

    endpoints: Mapping[str, str] = {}
    public_key: PublicKey | None = None
    pools: tuple[Cidr, ...] = ()


class Machine(NamedTuple):
    """A machine to add. ``keepalive`` is in seconds; ``private_key`` is None if no file has it."""

    name: str
    public_key: PublicKey
    allowed_ips: tuple[Cidr, ...]
    endpoint: Endpoint | None
    keepalive: int
    private_key: PrivateKey | None


class Import(NamedTuple):
    """The machines to add, and what a new network gets.

    ``notes`` are lines about what was decided, and ``losses`` about what is not imported.
    """

    machines: tuple[Machine, ...]
    pools: tuple[Cidr, ...]
    dns: tuple[Address, ...]
    search_domains: tuple[str, ...]
    notes: tuple[str, ...]
    losses: tuple[str, ...]


class _Draft:
    """What the files say about a machine; values that several give are those of the first."""

    def __init__(self, public_key: PublicKey, place: str) -> None:
        self.public_key = public_key
        self.place = place
        self.own: list[OwnMachine] = []
        self.stem = ""
        self.called: list[str] = []
        self.sent: list[Cidr] = []
        self.endpoints: list[Endpoint] = []
        self.is_called = False
        """Whether machines without an endpoint have to call it."""
        self.name = ""
        self.addresses: list[Cidr] = []
        self.behind: list[Cidr] = []
        self.endpoint: Endpoint | None = None

    @property
    def listen_port(self) -> int | None:
        return next((one.listen_port for one in self.own if one.listen_port), None)

    @property
    def private_key(self) -> PrivateKey | None:
        return next((one.private_key for one in self.own if one.private_key), None)


def merged(
    files: Sequence[ForeignFile],
    wishes: Wishes,
    present: State | None = None,
    is_taken: Callable[[str], bool] = lambda name: False,
) -> Import:
    """Merge what the files say into machines of a network.

    ``present`` is the network that they join, None for a new one. ``is_taken`` returns whether a
    name cannot be given to a machine.

    Raises:
        ImportFailedError: a value is missing, invalid or contradictory.
        InUseError: a network belongs to another machine already.
    """
    return _Merging(files, wishes, present, is_taken).result()


class _Merging:
    def __init__(
        self,
        files: Sequence[ForeignFile],
        wishes: Wishes,
        present: State | None,
        is_taken: Callable[[str], bool],
    ) -> None:
        self._files = files
        self._wishes = wishes
        self._present = present
        self._is_taken = is_taken
        self._drafts: dict[PublicKey, _Draft] = {}
        self._notes: list[str] = []
        self._losses: list[str] = [line for one in files for line in one.losses]
        self._wishing: _Draft | None = None

    def result(self) -> Import:
        self._collect()
        drafts = self._unknown()
        networks = self._networks()
        self._name(drafts)
        self._wish(drafts)
        index = self._index(networks)
        for draft in drafts:
            self._address(draft, index)
            self._dial(draft)
        pools = self._pools(drafts, networks)
        self._allocate(drafts, pools)
        self._check(drafts)
        dns, domains = self._dns(drafts)
        machines = tuple(map(self._machine, drafts))
        notes, losses = tuple(self._notes), tuple(self._losses)
        return Import(machines, pools, dns, domains, notes, losses)

    # --- who there is ---

    def _collect(self) -> None:
        for file in self._files:
            for own in file.own:
                draft = self._draft(self._key_of(own), own.place)
                draft.own.append(own)
                draft.called += filter(None, [own.name])
                draft.stem = draft.stem or file.stem
                draft.behind += own.behind
                draft.endpoints += filter(None, [own.endpoint])
                draft.is_called |= any(other.endpoint is None for other in file.others)
        for file in self._files:
            for other in file.others:
                draft = self._draft(other.public_key, other.place)
                draft.called += filter(None, [other.name])
                draft.sent += other.allowed_ips
                if other.endpoint is not None and not file.remembers:
                    draft.endpoints.append(other.endpoint)
                elif other.endpoint is not None:
                    self._losses.append(
                        f"{other.place}: not imported: the endpoint {other.endpoint}, which "
                        "WireGuard saved as the last one seen (SaveConfig)"
                    )

    def _draft(self, key: PublicKey, place: str) -> _Draft:
        if key not in self._drafts:
            self._drafts[key] = _Draft(key, place)
        return self._drafts[key]

    def _key_of(self, own: OwnMachine) -> PublicKey:
        if own.private_key is not None:
            return own.private_key.public_key()
        without = [one for file in self._files for one in file.own if one.private_key is None]
        if self._wishes.public_key is None or len(without) > 1:
            more = ", and so have others" if len(without) > 1 else ""
            raise ImportFailedError(
                f"{own.place} has no private key{more}, so the machine's public key is unknown: "
                "give its public key",
                field="own public key",
            )
        return self._wishes.public_key

    def _unknown(self) -> list[_Draft]:
        """Return the machines that the network does not have yet."""
        if self._present is None:
            return list(self._drafts.values())
        known = {one.public_key: one.name for one in self._present.peers}
        found = []
        for draft in self._drafts.values():
            if draft.public_key in known:
                name = printable(known[draft.public_key])
                self._losses.append(
                    f"{draft.place}: not imported: the network has the machine, as {name}"
                )
            else:
                found.append(draft)
        return found

    def _name(self, drafts: Sequence[_Draft]) -> None:
        taken: set[str] = set()
        counts: dict[str, int] = {}
        if self._present is not None:
            taken |= self._present.names

        def free(base: str, *, numbered: bool) -> str:
            while True:
                counts[base] = counts.get(base, 0) + 1
                plain = counts[base] == 1 and not numbered
                name = base if plain else f"{base}-{counts[base]}"
                if name not in taken and not self._is_taken(name):
                    taken.add(name)
                    return name

        for draft in drafts:
            said = next((one for one in draft.called if valid_name(one)), "")
            base = valid_name(said or _of_file(draft))[:_BASE].strip("-")
            draft.name = free(base or "peer", numbered=not base)
            if not said:
                self._notes.append(
                    f"{draft.place}: no name is given there: it becomes {draft.name}"
                )
            elif draft.name != said.lower():
                self._notes.append(
                    f'{draft.place}: the name "{printable(said, 60)}" becomes {draft.name}'
                )

    # --- addresses ---

    def _networks(self) -> list[Cidr]:
        """Return the networks that interfaces are in."""
        found = [
            cidr.masked()
            for draft in self._drafts.values()
            for own in draft.own
            for cidr in own.addresses
            if cidr.host_bits and cidr.prefix
        ]
        return list(dict.fromkeys(found))

    def _index(self, networks: Sequence[Cidr]) -> tuple[Claims, Claims]:
        """Return the networks of interfaces; and these with all addresses of files' machines."""
        own = [
            single(cidr.address)
            for draft in self._drafts.values()
            for one in draft.own
            for cidr in one.addresses
        ]
        claims = [Claim(one, Use.PEER) for one in networks]
        return Claims(claims), Claims([*claims, *(Claim(one, Use.PEER) for one in own)])

    def _address(self, draft: _Draft, index: tuple[Claims, Claims]) -> None:
        own = [single(cidr.address) for one in draft.own for cidr in one.addresses]
        sent = list(dict.fromkeys(draft.sent))
        hosts = [cidr for cidr in sent if cidr != cidr.masked() or not cidr.host_bits]
        inside = [one for one in hosts if index[0].clash(single(one.address)) is not None]
        if not own:
            own = [single(one.address) for one in inside or hosts]
        draft.addresses = list(dict.fromkeys(own))
        lost = [one for one in hosts if single(one.address) not in draft.addresses]
        if lost:
            self._losses.append(
                f"{draft.name}: not imported: {some(list(map(str, lost)), _SHOWN)}: an address of "
                "a machine behind it; give the whole network behind it"
            )
        routed = [one for one in sent if one not in hosts]
        self._behind(draft, [*draft.behind, *routed], index[1])

    def _behind(self, draft: _Draft, routed: Sequence[Cidr], machines: Claims) -> None:
        """Sort the networks that were sent to a machine: behind it, or routes to others."""
        behind, routes, traffic = list[Cidr](), list[Cidr](), list[Cidr]()
        for cidr in dict.fromkeys(one.masked() for one in routed):
            if cidr.prefix <= _EVERYTHING:
                traffic.append(cidr)
            elif machines.clash(cidr) is not None:
                routes.append(cidr)
            else:
                behind.append(cidr)
        draft.behind = behind
        if behind:
            self._notes.append(
                f"{draft.name}: {_shown(behind)} is not in the network of the tunnel: it becomes "
                "a network behind the machine"
            )
        if routes:
            self._losses.append(
                f"{draft.name}: not imported: {_shown(routes)}, a route to other machines: in the "
                "new files, each one is listed by itself"
            )
        if traffic:
            self._losses.append(
                f"{draft.name}: not imported: {_shown(traffic)}: no machine of such a network "
                "takes all traffic"
            )

    def _pools(self, drafts: Sequence[_Draft], networks: Sequence[Cidr]) -> tuple[Cidr, ...]:
        """Return the pools: of each IP version, the network with most of the machines."""
        if self._present is not None and self._present.network is not None:
            return self._present.network.pools
        if self._wishes.pools:
            return self._wishes.pools
        addresses = [one.address for draft in drafts for one in draft.addresses]
        pools = []
        for version in (4, 6):
            of_version = [one for one in addresses if one.version == version]
            candidates = [one for one in networks if one.version == version
                          and one.host_bits >= _SMALLEST_POOL]  # fmt: skip
            around = [Cidr(one, _POOL_PREFIXES[version]).masked() for one in of_version]
            counted = _counted(candidates or around, of_version)
            pools += counted[:1]
            if counted[1:]:
                self._notes.append(
                    f"new machines get addresses from {counted[0]}, not from {_shown(counted[1:])}"
                )
        if not pools:
            raise ImportFailedError(
                f"no machine in {self._files[0].label} has an address: give a pool", field="pool"
            )
        return tuple(pools)

    def _allocate(self, drafts: Sequence[_Draft], pools: Sequence[Cidr]) -> None:
        """Give an address from each pool to the machines that have none."""
        lacking = [draft for draft in drafts if not draft.addresses]
        if not lacking:
            return
        claims = [] if self._present is None else claims_beside(self._present)
        claims += _claims(drafts)
        for pool in pools:
            free = _free(pool, Claims(claims))
            for draft in lacking:
                address = next(free, None)
                if address is None:
                    raise PoolExhaustedError(pool, list(Claims(claims).overlapping(pool)))
                draft.addresses.append(address)
        for draft in lacking:
            self._notes.append(
                f"{draft.name}: no file says its address, so it gets {_shown(draft.addresses)}"
            )

    def _check(self, drafts: Sequence[_Draft]) -> None:
        """Check that no two machines have the same network.

        Raises:
            ImportFailedError: two of the files' machines have.
            InUseError: a machine of the network has it already.
        """
        claims = Claims(_claims(drafts))
        others = Claims([] if self._present is None else claims_beside(self._present))
        for draft in drafts:
            for cidr in (*draft.addresses, *draft.behind):
                found = others.clash(cidr)
                if found is not None:
                    raise InUseError(
                        f"{draft.place}: {cidr} overlaps {found.network}, {found.owner}: change "
                        "one of the two first"
                    )
                for claim in claims.overlapping(cidr):
                    if claim.name == draft.name or claim.network.prefix > cidr.prefix:
                        continue
                    if claim.network == cidr:
                        raise ImportFailedError(
                            f"{draft.place}: {cidr} belongs to {claim.name} too: WireGuard sends "
                            "it to one of them; correct the file first"
                        )
                    self._notes.append(
                        f"{draft.name}: {cidr} is a part of {claim.network}, which is behind "
                        f"{claim.name}"
                    )

    # --- endpoints ---

    def _wish(self, drafts: Sequence[_Draft]) -> None:
        """Check the names in wishes, and find the machine that the one without a name is for."""
        owners = [one for one in drafts if one.own]
        lacking = [one for one in owners if one.is_called and not one.endpoints]
        self._wishing = next(iter(lacking or owners or drafts), None)
        names = {draft.name for draft in drafts}
        for name in self._wishes.endpoints:
            if name and name not in names:
                raise ImportFailedError(
                    f'no machine of the files becomes "{printable(name, 60)}"; they become '
                    f"{some(sorted(names), _SHOWN) or 'none'}",
                    field="endpoint name",
                )

    def _dial(self, draft: _Draft) -> None:
        found = list(dict.fromkeys(draft.endpoints))
        for_any = self._wishes.endpoints.get("") if draft is self._wishing else None
        wished = self._wishes.endpoints.get(draft.name, for_any)
        if wished is not None:
            draft.endpoint = _endpoint(wished, draft) if wished else None
        elif found:
            draft.endpoint = found[0]
            if found[1:]:
                self._losses.append(
                    f"{draft.name}: not imported: the other endpoint "
                    f"{some(list(map(str, found[1:])), _SHOWN)}, beside {found[0]}"
                )
        elif draft.is_called:
            raise ImportFailedError(
                f"{draft.place} does not say where others reach {draft.name}, and its peers have "
                f"to call it: give its public address or DNS name{_port_of(draft)}",
                field="endpoint",
            )
        port = draft.listen_port
        if port is not None and (draft.endpoint is None or draft.endpoint.port != port):
            why = (
                "nobody calls the machine" if draft.endpoint is None
                else f"the file for the machine will have {draft.endpoint.port}, of its endpoint"
            )  # fmt: skip
            self._losses.append(f"{draft.name}: not imported: the port {port}: {why}")

    # --- the rest ---

    def _dns(self, drafts: Sequence[_Draft]) -> tuple[tuple[Address, ...], tuple[str, ...]]:
        """Return the DNS servers and search domains that all clients have."""
        given = [(one, draft) for draft in drafts for one in draft.own if one.dns]
        clients = {one.dns for one, draft in given if not draft.is_called}
        agreed = next(iter(clients)) if len(clients) == 1 and self._present is None else ()
        servers = tuple(one for one in agreed if not isinstance(one, str))
        for own, draft in given:
            if own.dns != agreed or not servers:
                self._losses.append(
                    f"{draft.name}: not imported: its DNS servers; those of the network are for "
                    "all machines"
                )
        if not servers:
            return (), ()
        self._notes.append(
            f"all machines get the DNS servers {some(list(map(str, agreed)), _SHOWN)}"
        )
        return servers, tuple(one for one in agreed if isinstance(one, str))

    def _machine(self, draft: _Draft) -> Machine:
        keepalive = 0
        if draft.endpoint is None:
            network = None if self._present is None else self._present.network
            default = NAT_KEEPALIVE if network is None else network.persistent_keepalive
            keepalive = max((one.keepalive for one in draft.own), default=0) or default
        allowed_ips = (*draft.addresses, *draft.behind)
        return Machine(
            draft.name, draft.public_key, allowed_ips, draft.endpoint, keepalive, draft.private_key
        )


def _of_file(draft: _Draft) -> str:
    """Return a name for a machine that no comment names, from its file; it may be empty."""
    if not draft.own:
        return ""
    client = _CLIENT_FILE.fullmatch(draft.stem)
    if client:
        return client["name"]
    if _INTERFACE.fullmatch(draft.stem.lower()) is None:
        return draft.stem
    return "server" if draft.is_called else "machine"


def _shown(networks: Iterable[Cidr]) -> str:
    return some(list(map(str, networks)), _SHOWN)


def _counted(networks: Iterable[Cidr], addresses: Sequence[Address]) -> list[Cidr]:
    """Return the networks without those in others, the one with most of the addresses first."""
    unique = list(dict.fromkeys(networks))
    outer: dict[Cidr, int] = {}
    for one in sorted(unique, key=lambda cidr: cidr.prefix):
        if _within(one.address, outer) is None:
            outer[one] = 0
    for address in addresses:
        holder = _within(address, outer)
        if holder is not None:
            outer[holder] += 1
    order = {one: at for at, one in enumerate(unique)}
    return sorted(outer, key=lambda one: (-outer[one], order[one]))


def _within(address: Address, networks: Mapping[Cidr, int]) -> Cidr | None:
    """Return the network that holds an address, by a look-up for each prefix."""
    masked = (Cidr(address, prefix).masked() for prefix in range(address.max_prefixlen + 1))
    return next((one for one in masked if one in networks), None)


def _claims(drafts: Iterable[_Draft]) -> list[Claim]:
    return [
        Claim(cidr, Use.PEER, draft.name)
        for draft in drafts
        for cidr in (*draft.addresses, *draft.behind)
    ]


def _free(pool: Cidr, claims: Claims) -> Iterator[Cidr]:
    for start, end in claims.gaps(pool):
        for value in range(start, end + 1):
            yield single(type(pool.address)(value))


def _endpoint(text: str, draft: _Draft) -> Endpoint:
    """Parse ``HOST[:PORT]``; without a port it is that which the machine listens on."""
    found = parse_endpoint(text)
    if found is not None:
        return found
    host = parse_host(text.removeprefix("[").removesuffix("]"))
    if host is None:
        raise ImportFailedError(
            f'"{printable(text, 60)}" is not HOST or HOST:PORT; a host is an IP address or a DNS '
            "name in lower case",
            field="endpoint",
        )
    if draft.listen_port is None:
        raise ImportFailedError(
            f"{draft.place} says no port: give that of {draft.name} too, as HOST:PORT",
            field="endpoint",
        )
    return Endpoint(host, draft.listen_port)


def _port_of(draft: _Draft) -> str:
    return "" if draft.listen_port else " and its port"
