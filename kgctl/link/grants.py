"""Grants: what each cluster accepts of the others' claims, and the report of what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.edit.peer_writes import spec_of
from kgctl.link.claim_policy import Grants, Held, Terms, grants
from kgctl.link.clusters import unbuilt_clusters
from kgctl.link.foreign_links import adopted_as, held_links
from kgctl.link.peers import link_prefix, linked_source, slug
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.guards import Guard, Guards, Reason
from kgctl.mesh.policy import summaries
from kgctl.mesh.text import printable, some
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kgctl.link.clusters import ClusterState
    from kgctl.link.spec import LinkSpec
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.policy import Refusal, Summary
    from kgctl.reporter import Reporter

_SHOWN = 4  # unconfirmed networks to name; the rest is counted
_MOST_SAID = 20  # networks of one claimer to report: it can claim new ones without end


class Granting:
    """Judges the claims of clusters after each read, and reports each refusal once.

    If ``unattended``, a new claim by a node's annotation waits for a person. A network counts as
    confirmed if the Peers had it at any time since the start, since nodes fall silent and return.
    """

    def __init__(self, spec: LinkSpec, reporter: Reporter, *, unattended: bool = False) -> None:
        self._reporter = reporter
        self._spec = spec
        confirmed = self._is_confirmed if unattended else None
        self._terms = Terms(spec.limits, spec.allowed, confirmed)
        self._known: dict[tuple[str, str], tuple[frozenset[Cidr], Guards]] = {}
        self._said: set[object] = set()
        self._lines: dict[tuple[str, str], int] = {}

    def judge(self, states: Sequence[ClusterState]) -> dict[str, Grants]:
        """Return what each cluster accepts of the others, by its name.

        A cluster whose network cannot be built stays as it is, and so do the Peers for it. Their
        networks count as in use, or another segment could take them meanwhile. So do the networks
        of Peers that linking does not manage: a Peer may look like a link only because a node
        copied the key of a machine outside the clusters.
        """
        found = {}
        unbuilt = unbuilt_clusters(states)
        for target in states:
            if target.failure is not None:
                continue
            others = [one.peer.name for one in target.links if not one.is_kept]
            foreign = frozenset(() if self._spec.adopt else others)
            held = _held(target, foreign)
            self._remember(target.member.name, held)
            sources = [state.member for state in states if state is not target]
            links = target.member.links - target.peers_for(unbuilt) - foreign
            member = target.member._replace(links=links)
            found[member.name] = grants(member, sources, self._terms, held)
        for one in found.values():
            self._say(one)
        return found

    def narrowed(
        self, target: ClusterState, found: Grants, peer: Mapping[str, Any]
    ) -> Sequence[str]:
        """Return the networks that a staying Peer keeps, as it spells them."""
        texts = spec_of(peer).get("allowedIPs")
        texts = texts if isinstance(texts, list) else []
        networks = [parse_cidr(text) if isinstance(text, str) else None for text in texts]
        known = [one for one in networks if one is not None]
        label = linked_source(peer)
        source = next((one.name for one in found.members if slug(one.name) == label), None)
        if source is None or adopted_as(peer) or len(known) < len(texts) or not texts:
            return texts
        kept: list[str] = []
        for text, network, parts in zip(
            texts, known, found.narrowing.left(source, known), strict=True
        ):
            whole = parts == (network.masked(),)
            kept += [text] if whole else map(str, parts)
        if kept != texts:
            where = f"peer {printable(peer_name(peer))} of {printable(target.member.name)}"
            self._once(f"{where} holds networks that nobody is granted: it is narrowed")
        return kept

    # --- confirmed networks ---

    def _remember(self, target: str, held: Held) -> None:
        for link, networks in held.networks.items():
            known = self._known.get((target, link))
            every = frozenset(networks) | (known[0] if known else frozenset())
            if known is None or len(every) > len(known[0]):
                guards = Guards(Guard(one, Reason.UNCONFIRMED) for one in every)
                self._known[target, link] = every, guards

    def _is_confirmed(self, target: str, source: str, link: str, network: Cidr) -> bool:
        if self._spec.layout.linked(target, source):
            found = [self._known[target, link]] if (target, link) in self._known else []
        else:  # the first hub's Peers lead to it
            hub = link_prefix(self._spec.layout.hubs[0])
            found = [
                known
                for (holder, name), known in self._known.items()
                if holder == target and name.startswith(hub)
            ]
        return any(guards.around(network) is not None for _, guards in found)

    # --- reports ---

    def _say(self, found: Grants) -> None:
        for one in found.left_out:
            self._once(str(one))
        for source, refusals in found.refusals.items():
            new = [one for one in refusals if self._is_new(source, one)]
            waiting = [one for one in new if one.reason is Reason.UNCONFIRMED]
            for summary in summaries(one for one in new if one.reason is not Reason.UNCONFIRMED):
                self._reporter.warn(
                    f"{printable(source)}: refused: {summary}{self._remedy(source, summary)}"
                )
            if waiting:
                self._reporter.warn(self._waiting(source, waiting))

    def _is_new(self, source: str, refusal: Refusal) -> bool:
        key = source, refusal.claimer, refusal.why, refusal.claim.network.masked()
        if refusal.is_expected or key in self._said:
            return False
        said = self._lines.get(key[:2], 0)
        if said < _MOST_SAID:
            self._said.add(key)
        self._lines[key[:2]] = said + 1
        if said == _MOST_SAID:
            self._reporter.warn(
                f"{printable(source)}: {refusal.claimer} claims ever more; no more is reported"
            )
        return said < _MOST_SAID

    def _waiting(self, source: str, refusals: Sequence[Refusal]) -> str:
        found = list(dict.fromkeys(f"{one.claim.network} of {one.claimer}" for one in refusals))
        first = refusals[0].claim
        accepted = self._accepted(source, f"{printable(first.name)}={first.network.masked()}")
        return (
            f"{printable(source)}: left out, nobody confirmed them: {some(found, _SHOWN)}; if "
            f"they are right, run kgctl link without {self._reporter.setting('watch')}, or accept "
            f"them, for example with {accepted}"
        )

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._reporter.warn(text)

    def _remedy(self, source: str, summary: Summary) -> str:
        """Return a hint how to consent; empty where that is not possible."""
        consent = summary.consent
        return f"; if that is right: {self._accepted(source, consent)}" if consent else ""

    def _accepted(self, source: str, text: str) -> str:
        cluster = printable(source)
        of_file = f'"{text}" in limits.accept of {cluster}'
        accept = self._reporter.setting("accept", f"{cluster}/{text}")
        return of_file if self._spec.from_file else accept


def _held(target: ClusterState, foreign: Collection[str] = ()) -> Held:
    """Return the networks and keys of the links of a cluster, without ``foreign`` Peers."""
    own = [one for one in target.links if one.peer.name not in foreign]
    links = held_links(target.objects.peers, own)
    networks: dict[str, frozenset[Cidr]] = {}
    keys: dict[str, str] = {}
    for peer in target.member.state.peers:
        link = links.get(peer.name)
        if link is not None and peer.name not in foreign:
            has = frozenset(one.masked() for one in peer.allowed_ips)
            networks[link] = networks.get(link, frozenset()) | has
            keys[str(peer.public_key)] = link
    return Held(networks, keys)


def frozen_peers(target: ClusterState, found: Grants) -> frozenset[str]:
    """Return the names of the Peers in a cluster that stay as they are."""
    frozen = found.frozen
    if not frozen:
        return frozenset()
    links = held_links(target.objects.peers, target.links)
    return frozenset(name for name, link in links.items() if link in frozen)
