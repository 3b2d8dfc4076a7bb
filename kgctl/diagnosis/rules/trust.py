"""KG7xx: claims that other machines do not grant, and false reports of discovered endpoints."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.finding import ERROR, NODE, PEER, WARNING, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.kilo import PREFIX
from kgctl.mesh.claims import Use
from kgctl.mesh.guards import Reason
from kgctl.mesh.sightings import sightings
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.policy import Refusal, Summary
    from kgctl.mesh.sightings import Sightings
    from kgctl.mesh.topology import Topology


_REFUSED = "machines that kgctl sets up refuse it; agents, and plain configurations, accept it"
_NOBODY = "no other machine ever gets these, so packets sent there are lost"


def _for(reason: Reason, consequence: str) -> Callable[[Facts], Iterator[Found]]:
    def find(facts: Facts) -> Iterator[Found]:
        for summary in facts.refused:
            if summary.first.reason is reason and not _is_told(summary):
                yield _found(facts, summary, consequence)

    return find


def _is_told(summary: Summary) -> bool:
    """Return whether it is a peer's default route, which KG405 reports."""
    claims = [one.claim for one in summary.refusals]
    return all(one.use is Use.PEER and not one.network.prefix for one in claims)


def _found(facts: Facts, summary: Summary, consequence: str) -> Found:
    first = summary.first
    kind = PEER if first.claim.use is Use.PEER else NODE
    uses = " and ".join(dict.fromkeys(one.claim.use.value for one in summary.refusals))
    return Found(
        kind,
        first.claim.name,
        f"it claims {summary.networks} as {uses}: {first.why}",
        consequence,
        _remedy(facts, first, summary.refusals),
    )


def _remedy(facts: Facts, first: Refusal, refusals: tuple[Refusal, ...]) -> str:
    consent = ""
    if first.reason is not Reason.SPECIAL:
        value = f"{first.claim.name}={first.claim.network.masked()}"
        consent = f"; if it is right, accept it: --accept {printable(value)}, or in [limits]"
    name = quoted(first.claim.name)
    if first.claim.use is Use.PEER:
        return f"kgctl peer set {name} --allowed-ips NETWORKS{consent}"
    if first.claim.use is Use.LOCATION_IPS:
        refused = {one.claim.network for one in refusals}
        node = facts.nodes.get(first.claim.name)
        kept = [
            str(one) for one in (node.allowed_location_ips if node else ()) if one not in refused
        ]
        networks = ",".join(kept) if len(kept) <= _SHOWN else "NETWORKS"
        return (
            f"kubectl annotate node {name} --overwrite "
            f"{PREFIX}allowed-location-ips={networks}{consent}"
        )
    if first.claim.use is Use.INTERNAL_IP:
        return f'kubectl annotate node {name} --overwrite {PREFIX}force-internal-ip=""{consent}'
    what = "a private pod subnet" if first.claim.use is Use.PODS else "a private --subnet of Kilo"
    return f"give it {what}{consent}"


_SHOWN = 20  # networks that a command lists
_BURDEN = "each machine that joins sets as many routes; those that kgctl sets up leave out the rest"


_SHOWN_MACHINES = 3  # machines that one finding lists


class _Word(NamedTuple):
    """A node's report about a machine."""

    of: str
    at: Endpoint
    known: Sightings

    def __str__(self) -> str:
        own = self.known.annotated
        others = (
            f"whose own endpoint is {own}"
            if own is not None
            else "which has no endpoint of its own"
        )
        return f"{self.of} at {self.at}, {others}"


def _seen_elsewhere(facts: Facts) -> Iterator[Found]:
    if facts.topology is None:
        return
    words: defaultdict[str, list[_Word]] = defaultdict(list)
    labels = _labels(facts.topology)
    for key, known in sightings(facts.topology).items():
        for endpoint, names in known.contradicted().items():
            for name in names:
                words[name].append(_Word(labels[key], endpoint, known))
    for name, said in words.items():
        yield Found(
            NODE,
            name,
            f"it reports {some([str(one) for one in said], _SHOWN_MACHINES)}",
            "agents dial the first such report instead of a machine's own endpoint, so one node "
            "can end the sessions of all; kgctl connect moves no session because of it",
            f"kubectl annotate node {quoted(name)} {PREFIX}discovered-endpoints-; its agent writes "
            "what it really sees: if the report comes back, either the machine has several ways "
            "out, or the node cannot be trusted",
        )


def _labels(topology: Topology) -> dict[PublicKey, str]:
    peers = {one.public_key: f"peer {printable(one.name)}" for one in topology.peers}
    segments = {one.key: f"node {printable(one.leader.name)}" for one in topology.segments}
    return {key: label for key, label in (peers | segments).items() if key is not None}


RULES = (
    Rule("KG701", "claims-default-route", WARNING,
         "A machine claims all or most of the Internet.", _for(Reason.DEFAULT, _REFUSED)),
    Rule("KG702", "claims-wide-network", WARNING, "A machine claims a network wider than /8.",
         _for(Reason.WIDE, _REFUSED)),
    Rule("KG703", "claims-public-network", WARNING, "A machine claims public addresses.",
         _for(Reason.PUBLIC, _REFUSED)),
    Rule("KG704", "claims-special-network", ERROR,
         "A machine claims loopback, link-local, multicast or the like.",
         _for(Reason.SPECIAL, _NOBODY)),
    Rule("KG705", "claims-many-networks", WARNING,
         "A machine claims more than 1,000 networks.", _for(Reason.MANY, _BURDEN)),
    Rule("KG720", "seen-elsewhere", WARNING,
         "A node reports another machine at an address that is not its own.",
         _seen_elsewhere),
)  # fmt: skip
