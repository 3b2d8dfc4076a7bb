"""KG7xx: what a machine claims of others that those do not grant it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import ERROR, NODE, PEER, WARNING, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.kilo import PREFIX
from kgctl.mesh.claims import Use
from kgctl.mesh.guards import Reason
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.policy import Refusal, Summary

_REFUSED = "machines that kgctl sets up refuse it; agents, and plain configurations, send it there"
_NOBODY = "no other machine ever gets these, so what is sent there is lost"


def _for(reason: Reason, consequence: str) -> Callable[[Facts], Iterator[Found]]:
    def find(facts: Facts) -> Iterator[Found]:
        for summary in facts.refused:
            if summary.first.reason is reason and not _is_told(summary):
                yield _found(facts, summary, consequence)

    return find


def _is_told(summary: Summary) -> bool:
    """Tell whether it is a peer's default route, which another rule is about."""
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


_SHOWN = 20  # networks that a command names
_BURDEN = "each machine that joins sets as many routes; those that kgctl sets up leave out the rest"

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
)  # fmt: skip
