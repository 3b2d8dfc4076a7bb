"""A rule, and what it finds.

What to do where two clusters that are to be linked have one network: which one gives it up.
"""

from __future__ import annotations

from shlex import quote
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.linking import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.linked import Linked
    from kgctl.mesh.linking import Concession, Obstacle


ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)
"""How much a finding weighs, heaviest first."""

NODE, PEER, LOCATION, CLUSTER = "node", "peer", "location", "cluster"
"""The kinds of object that a finding can be about; a location is named as its segment is."""


class Found(NamedTuple):
    """One thing that is wrong: with which object, what, what it breaks, and what to do.

    ``kind`` is one of node, peer, location and cluster. All texts are printable, on one line
    each; ``name`` is the object's own, untrusted, and is made printable where it is shown.
    """

    kind: str
    name: str
    sentence: str
    consequence: str
    remedy: str


class Place(NamedTuple):
    """Where an object stands: a file's name, untrusted, and a line from 1, or 0 if unknown."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Finding(NamedTuple):
    """What a rule found; the fields are those of :class:`Found`, and those of its rule.

    ``cluster`` is the one that it is about, where several are looked at: untrusted, as ``name``.
    ``place`` is where the object stands, if it was read from a file.
    """

    code: str
    severity: str
    kind: str
    name: str
    sentence: str
    consequence: str
    remedy: str
    cluster: str = ""
    place: Place | None = None


class Rule(NamedTuple):
    """A rule: a stable code, a name in words, a severity, and how it looks.

    ``find`` yields what is wrong, in a stable order. ``kgctl explain CODE`` prints the rule's page,
    ``pages/CODE.md`` beside this module.
    """

    code: str
    name: str
    severity: str
    summary: str
    find: Callable[[Facts], Iterator[Found]]


class LinkRule(NamedTuple):
    """A rule about clusters that are linked: as a :class:`Rule`, but it looks at all of them.

    ``find`` yields what is wrong, and the name of the cluster that is to be changed.
    """

    code: str
    name: str
    severity: str
    summary: str
    find: Callable[[Linked], Iterator[tuple[str, Found]]]


AnyRule = Rule | LinkRule


REMEDIES = MappingProxyType(
    {
        Effort.PEER: "give {owner} of {member} another network: kgctl peer set {name} --context "
        "{member} --allowed-ips NETWORKS",
        Effort.SHARED: "leave it out of the networks that {member} shares (share.cidrs)",
        Effort.LOCATION_IPS: "take it out of the annotation allowed-location-ips of {owner} of "
        "{member}",
        Effort.WIREGUARD: "run Kilo's agents of {member} with another --subnet",
        Effort.INTERNAL_IP: "share internal IPs of neither (share.internalIPs: false, in a file), "
        "or give {owner} of {member} another one (kilo.squat.ai/force-internal-ip)",
        Effort.SERVICES: "link {member} without its service network (--service-cidr "
        "{member}=none), and mirror what is needed of it (--mirror)",
        Effort.PODS: "renumber the pods of {owner} of {member}: its pod subnet has to be another "
        "one",
    }
)
"""How each kind of network is given up."""


def remedy_of(concession: Concession) -> str:
    """Return in words how a network is given up."""
    return REMEDIES[concession.effort].format(
        owner=concession.owner, member=concession.member, name=quote(concession.name)
    )


def in_words(obstacle: Obstacle) -> str:
    """Return what stands against linking, and what to do about it."""
    if obstacle.concession is None:
        return obstacle.text
    return f"{obstacle.text}: {remedy_of(obstacle.concession)}"
