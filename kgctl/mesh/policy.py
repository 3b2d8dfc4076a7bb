"""The policy of claims: which networks a machine that joins a network grants to the others.

In a Kilo cluster every agent may write the annotations of every Node, so any claim of a node may
come from a compromised one. Everything that configures routes or allowed IPs on an outside
machine, in a file or in another cluster applies this policy first. Kilo's own agents and the
formats of the reference follow Kilo's rules instead.

* Nobody gets loopback, link-local, multicast and broadcast networks, nor the networks that the
  joining machine needs itself (``Guard``).
* A default route, networks that together form one, networks wider than /8 and public addresses
  require the consent of the joining person, by name of the claimer.
* Private networks of up to /8, the purpose of such a network, are granted: up to 1,000 per machine.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.claims import Use
from kgctl.mesh.dialability import Scope, ranges_of
from kgctl.mesh.guards import Guard, Guards, Reason
from kgctl.mesh.routes import without
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.claims import Claim

WIDEST = 8
"""The shortest prefix length that is granted without consent, for IPv4 and IPv6."""

MOST = 1000
"""Networks granted to one machine without consent: more would burden the joining machine."""

ANYBODY = "*"
"""The name that stands for every claimer in a consent."""

_MOST_TOLD = 100_000  # refusals that are reported to a person
_SHOWN = 4  # networks of one claimer that are listed; the rest is counted
_SPECIAL = tuple(
    Guard(network, Reason.SPECIAL, scope.words, cut=True)
    for network, scope in ranges_of(
        Scope.LOOPBACK,
        Scope.LINK_LOCAL,
        Scope.ZONED,
        Scope.MULTICAST,
        Scope.BROADCAST,
        Scope.UNSPECIFIED,
    )
)
_PRIVATE = Guards(
    Guard(network, Reason.SPECIAL)
    for network, _ in ranges_of(Scope.PRIVATE, Scope.SHARED, Scope.UNIQUE_LOCAL, Scope.RESERVED)
)
_MOST = {4: 1 << 31, 6: 1 << 124}
"""Half the number of the Internet's addresses: for IPv6, half of 2000::/3."""


class Limits(NamedTuple):
    """The limits that the joining person sets.

    If ``only_networks`` is not empty, only these are granted; ``deny`` are never granted.
    ``accept`` maps the name of a node or peer, or ``ANYBODY`` for all of them, to the networks
    that the person consents to.
    """

    only_networks: tuple[Cidr, ...] = ()
    deny: tuple[Cidr, ...] = ()
    accept: Mapping[str, tuple[Cidr, ...]] = {}


class UnknownName(NamedTuple):
    """A name in a consent that matches no node or peer, and the most similar name that does."""

    name: str
    nearest: str | None
    field: str = "accept"

    def __str__(self) -> str:
        hint = f'; did you mean "{printable(self.nearest)}"?' if self.nearest else ""
        return f'accept "{printable(self.name)}" is not a node or peer of the network{hint}'


def unknown_names(limits: Limits, known: Collection[str]) -> list[UnknownName]:
    """Return the names in consents that are not ``known``."""
    return [
        UnknownName(name, nearest(name, known))
        for name in limits.accept
        if name not in known and name != ANYBODY
    ]


class Refusal(NamedTuple):
    """A claim that was refused, whole or in part, and the reason.

    ``guard`` is the guard in the way, if that is the reason. ``is_expected`` is true if the person
    asked for the refusal, or if it changes nothing.
    """

    claim: Claim
    reason: Reason
    guard: Guard | None = None
    is_expected: bool = False

    @property
    def claimer(self) -> str:
        """Kind and name of the claimer, printable: ``node edge``."""
        kind = "peer" if self.claim.use is Use.PEER else "node"
        return f"{kind} {printable(self.claim.name)}"

    @property
    def why(self) -> str:
        """The reason in words, to follow the claimer and its networks."""
        return self.reason.words.format(self.guard.words if self.guard is not None else "")


class Untold:
    """A filter for refusals that were not reported yet, by claimer, reason and network.

    Expected refusals are left out. Their total is limited, because a machine can keep claiming
    other networks.
    """

    def __init__(self) -> None:
        self._told: set[tuple[str, str, int]] = set()

    def pick(self, refusals: Iterable[Refusal]) -> list[Refusal]:
        """Return the refusals that were not picked before, in order."""
        new = []
        for words, alike in _by_words(refusals):
            for one in alike:
                key = (*words, one.claim.network.number)
                if not one.is_expected and key not in self._told and len(self._told) < _MOST_TOLD:
                    self._told.add(key)
                    new.append(one)
        return new


class Verdict(NamedTuple):
    """The granted networks of each claim, in the order of the claims, and the refusals.

    A claim that is granted whole has its own network there.
    """

    granted: list[tuple[Cidr, ...]]
    refusals: list[Refusal]


class Policy:
    """The policy from a person's limits and the networks that the joining machine needs itself.

    ``guards`` are addresses and networks of that machine; special ranges such as loopback are
    added here.
    """

    def __init__(self, limits: Limits | None = None, guards: Iterable[Guard] = ()) -> None:
        self._limits = limits or Limits()
        denied = [Guard(one.masked(), Reason.DENIED, cut=True) for one in self._limits.deny]
        self._denied = Guards(denied)
        known = [*denied, *guards, *_SPECIAL]
        self._guards = Guards(known)
        self._holes = Guards(one for one in known if one.cut)
        self._only = Guards(
            Guard(network.masked(), Reason.OUTSIDE) for network in self._limits.only_networks
        )
        accept = self._limits.accept
        self._accepted = {
            name: Guards(
                Guard(network.masked(), Reason.OWN)
                for network in (*networks, *accept.get(ANYBODY, ()))
            )
            for name, networks in ((ANYBODY, ()), *accept.items())
        }

    def judge(self, claims: Sequence[Claim], own: Iterable[Cidr] = ()) -> Verdict:
        """Return which of one claimer's claims are granted; they are judged together.

        ``own`` are the claimer's own endpoints, as single addresses. A claim to its own endpoint
        is granted unless that is a ``cut`` guard: code that sets up routes keeps all of them clear
        of endpoints. The work is that of sorting the claims.
        """
        addresses = tuple(own)
        wide = _wide_together(claims)
        verdict = Verdict([], [])
        for claim in claims:
            if self._is_harmless(claim.network, wide):
                verdict.granted.append((claim.network,))
            else:
                self._judge_one(claim, verdict, wide, addresses)
        if len(claims) > MOST:
            self._refuse_many(claims, verdict)
        return _with_default_routes(verdict) if verdict.refusals else verdict

    def _refuse_many(self, claims: Sequence[Claim], verdict: Verdict) -> None:
        """Refuse the granted claims after the first ``MOST``, except those with consent."""
        count = 0
        for number, claim in enumerate(claims):
            if not verdict.granted[number] or self.consents(claim):
                continue
            count += 1
            if count > MOST:
                verdict.granted[number] = ()
                verdict.refusals.append(Refusal(claim, Reason.MANY))

    def consents(self, claim: Claim) -> bool:
        """Return whether the person consents to the claim by the name of its claimer."""
        return self._accepted_of(claim.name).around(claim.network.masked()) is not None

    def _accepted_of(self, name: str) -> Guards:
        return self._accepted.get(name) or self._accepted[ANYBODY]

    def _is_harmless(self, network: Cidr, wide: Container[Cidr]) -> bool:
        """Return whether any claimer gets the whole network, as with nearly all claims.

        The result is that of ``_judge_one`` in a tenth of its time.
        """
        return (
            network.prefix >= WIDEST
            and _PRIVATE.around(network) is not None
            and not self._guards.touches(network)
            and (not self._limits.only_networks or self._only.around(network) is not None)
            and (not wide or network.masked() not in wide)
        )

    def _judge_one(
        self, claim: Claim, verdict: Verdict, wide: Container[Cidr], own: Sequence[Cidr]
    ) -> None:
        network = claim.network.masked()
        accepted = self._accepted_of(claim.name)
        consented = accepted.around(network) is not None
        refusal, is_left = None, False
        if self._guards.touches(network):
            refusal, is_left = self._never(claim, network, consented=consented)
        if refusal is None and not (consented or is_left):
            refusal = _unasked(claim, network, wide, own)
        if refusal is None:
            parts = [network]
        else:
            verdict.refusals.append(refusal)
            # consent to a part grants that part
            asked = refusal.reason in _CONSENT
            parts = [one.network for one in accepted.widest_within(network)] if asked else []
            if not parts:
                verdict.granted.append(())
                return
        allowed = self._allowed(parts)
        if parts and allowed != parts and not self._only.touches(network):
            verdict.refusals.append(Refusal(claim, Reason.OUTSIDE, is_expected=True))
        if consented or allowed != [network] or not network.prefix:
            allowed = [one for one in allowed if self._holes.around(one) is None]
        granted = tuple(self._without_holes(allowed))
        verdict.granted.append((claim.network,) if granted == (network,) else granted)

    def _never(
        self, claim: Claim, network: Cidr, *, consented: bool
    ) -> tuple[Refusal | None, bool]:
        """Return the refusal of a network that nobody gets, or not this claimer, if there is one.

        The second item is whether the network is the claimer's own endpoint, which it may claim.
        """
        is_left = False
        for guard in self._guards.all_around(network):
            mine = guard.reason is Reason.ENDPOINT and guard.owner == claim.name
            if mine and not guard.cut:
                is_left = True
            elif not (guard.reason is Reason.OWN and consented):
                refusal = Refusal(claim, guard.reason, guard, mine or guard.reason in _ASKED)
                return refusal, False
        return None, is_left

    def _allowed(self, parts: list[Cidr]) -> list[Cidr]:
        """Return the parts of networks that ``only_networks`` allows."""
        if not self._limits.only_networks:
            return parts
        found: list[Cidr] = []
        for part in parts:
            if self._only.around(part) is not None:
                found.append(part)
            else:
                found += (one.network for one in self._only.widest_within(part))
        return found

    def _without_holes(self, parts: list[Cidr]) -> Iterator[Cidr]:
        """Yield networks without the parts that nobody gets.

        A default route stays whole unless a part of it is denied: every route of the machine itself
        takes precedence over it.
        """
        for part in parts:
            holes = list(self._holes.widest_within(part))
            if not part.prefix and not self._denied.touches(part):
                holes = []
            yield from without(part, [hole.network for hole in holes]) if holes else (part,)


_CONSENT = (Reason.DEFAULT, Reason.WIDE, Reason.PUBLIC)
_ASKED = (Reason.DENIED, Reason.OUTSIDE)


def _unasked(
    claim: Claim,
    network: Cidr,
    wide: Container[Cidr] = (),
    own: Sequence[Cidr] = (),
) -> Refusal | None:
    """Return the refusal of a network that requires consent, or None if it requires none.

    The claimer's own public endpoint needs no tunnel, and any machine can set a public address as
    its endpoint in order to claim it.
    """
    is_public = _PRIVATE.around(network) is None
    if is_public and network in own:
        guard = Guard(network, Reason.ENDPOINT, "its own endpoint")
        return Refusal(claim, Reason.ENDPOINT, guard, is_expected=True)
    if not network.prefix:
        return Refusal(claim, Reason.DEFAULT)
    if network.prefix < WIDEST or network in wide:
        return Refusal(claim, Reason.WIDE)
    return Refusal(claim, Reason.PUBLIC) if is_public else None


def _wide_together(claims: Iterable[Claim]) -> frozenset[Cidr]:
    """Return the adjacent networks that together are wider than /8.

    Networks that require consent by themselves are left out.
    """
    sizes = _sizes(claims)
    if not (sizes[4] > 1 << 32 - WIDEST or sizes[6] > 1 << 128 - WIDEST):
        return frozenset()
    found: set[Cidr] = set()
    networks = ((claim, claim.network.masked()) for claim in claims)
    granted = [one for claim, one in networks if _unasked(claim, one) is None]
    for first, last, members in _runs(granted):
        size = members[0].address.max_prefixlen - WIDEST
        if len(members) > 1 and last - first > 1 << size:
            found.update(members)
    return frozenset(found)


def _sizes(claims: Iterable[Claim]) -> dict[int, int]:
    """Return the number of claimed addresses by IP version, counted once per claim."""
    found = {4: 0, 6: 0}
    for claim in claims:
        address, prefix = claim.network
        found[address.version] += 1 << address.max_prefixlen - prefix
    return found


def _runs(networks: Iterable[Cidr]) -> Iterator[tuple[int, int, list[Cidr]]]:
    """Yield the start, the end (exclusive) and the networks of each range without gaps."""
    run: list[Cidr] = []
    first = last = 0
    for network in sorted(networks, key=lambda one: (one.version, one.network_value, one.prefix)):
        value = network.network_value
        if run and (network.version != run[0].version or value > last):
            yield first, last, run
            run = []
        if not run:
            first = last = value
        run.append(network)
        last = max(last, value + (1 << network.host_bits))
    if run:
        yield first, last, run


def _with_default_routes(verdict: Verdict) -> Verdict:
    """Mark the refusals that together cover half of the Internet or more as default routes."""
    totals = {4: 0, 6: 0}
    asked = [one for one in verdict.refusals if one.reason in _CONSENT]
    sizes = _sizes(one.claim for one in asked)
    if not any(total >= _MOST[version] for version, total in sizes.items()):
        return verdict
    for first, last, members in _runs(one.claim.network.masked() for one in asked):
        totals[members[0].version] += last - first
    for number, one in enumerate(verdict.refusals):
        version = one.claim.network.version
        if one.reason in _CONSENT and totals[version] >= _MOST[version]:
            verdict.refusals[number] = one._replace(reason=Reason.DEFAULT)
    return verdict


class Summary(NamedTuple):
    """The refusals of one claimer for one reason, in order of arrival."""

    refusals: tuple[Refusal, ...]

    @property
    def first(self) -> Refusal:
        """The refusal that represents all."""
        return self.refusals[0]

    @property
    def consent(self) -> str:
        """The consent that would grant the first network, ``NAME=CIDR``; empty if none can."""
        first = self.first
        if first.reason not in (*_CONSENT, Reason.OWN, Reason.MANY):
            return ""
        return f"{printable(first.claim.name)}={first.claim.network.masked()}"

    @property
    def networks(self) -> str:
        """The first few networks, and the count of the rest."""
        found = [str(one.claim.network.masked()) for one in self.refusals[:_SHOWN]]
        count = len(self.refusals) - len(found)
        return ", ".join(found) + (f" and {count} more" if count else "")

    def __str__(self) -> str:
        return f"{self.first.claimer} claims {self.networks}: {self.first.why}"


def summaries(refusals: Iterable[Refusal]) -> list[Summary]:
    """Group refusals by claimer and reason, each network once, in order of arrival."""
    found: dict[tuple[str, str], dict[int, Refusal]] = {}
    for words, alike in _by_words(refusals):
        by_network = found.setdefault(words, {})
        for one in alike:
            by_network.setdefault(one.claim.network.number, one)
    return [Summary(tuple(each.values())) for each in found.values()]


def _by_words(refusals: Iterable[Refusal]) -> Iterator[tuple[tuple[str, str], list[Refusal]]]:
    """Yield claimer and reason in words, each with its run of consecutive refusals."""
    for _, group in groupby(refusals, _what_is_said):
        alike = list(group)
        yield (alike[0].claimer, alike[0].why), alike


def _what_is_said(refusal: Refusal) -> tuple[str, bool, Reason, Guard | None]:
    claim = refusal.claim
    return claim.name, claim.use is Use.PEER, refusal.reason, refusal.guard
