"""Rules, findings, and remedies for networks that clash when clusters are linked."""

from __future__ import annotations

from shlex import quote
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.link_rules import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.diagnosis.node_agent import NodeAgent
    from kgctl.mesh.link_rules import Concession, Obstacle
    from kgctl.mesh.links import Linked


ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)
"""The severities, highest first."""

NODE, PEER, LOCATION, CLUSTER = "node", "peer", "location", "cluster"
NETWORK = "network"
"""What a finding about a whole network without nodes is about, instead of ``CLUSTER``."""

"""The kinds of object that a finding can be about; a location has the name of its segment."""


class Found(NamedTuple):
    """A problem: the object, a sentence about it, its consequence, and the remedy.

    ``kind`` is node, peer, location, cluster or network. The texts are printable and on one line;
    ``name`` is the object's own, untrusted, and made printable where it is shown.
    """

    kind: str
    name: str
    sentence: str
    consequence: str
    remedy: str


class Place(NamedTuple):
    """The location of an object: the name of a file, untrusted, and a line from 1; 0 if unknown."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Finding(NamedTuple):
    """A finding of a rule, with the fields of :class:`Found` and of the rule.

    ``cluster`` is its cluster if several are checked: untrusted, like ``name``. ``place`` is the
    location of the object if it was read from a file.
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
    """A rule: a stable code, a name in words, a severity, a summary, and its function.

    ``find`` yields the problems in a stable order. ``kgctl explain CODE`` prints the rule's page,
    ``pages/CODE.md`` beside this module.
    """

    code: str
    name: str
    severity: str
    summary: str
    find: Callable[[Facts], Iterator[Found]]


class LinkRule(NamedTuple):
    """A rule about linked clusters: like :class:`Rule`, but for all clusters together.

    ``find`` yields the name of the cluster to change, and the problem.
    """

    code: str
    name: str
    severity: str
    summary: str
    find: Callable[[Linked], Iterator[tuple[str, Found]]]


class NodeRule(NamedTuple):
    """A rule about the agent of one node, as seen on its machine: like :class:`Rule`."""

    code: str
    name: str
    severity: str
    summary: str
    find: Callable[[NodeAgent], Iterator[Found]]


AnyRule = Rule | LinkRule | NodeRule


REMEDIES = MappingProxyType(
    {
        Effort.PEER: "give {owner} of {member} another network: kgctl peer set {name} --context "
        "{member} --allowed-ips NETWORKS",
        Effort.SHARED: "leave it out of the networks that {member} shares (share.cidrs)",
        Effort.LOCATION_IPS: "remove it from the annotation allowed-location-ips of {owner} of "
        "{member}",
        Effort.WIREGUARD: "run Kilo's agents of {member} with another --subnet",
        Effort.INTERNAL_IP: "share internal IPs of neither (share.internalIPs: false, in a file), "
        "or give {owner} of {member} another one (kilo.squat.ai/force-internal-ip)",
        Effort.SERVICES: "link {member} without its service network (--service-cidr "
        "{member}=none), and mirror what is needed of it (--mirror)",
        Effort.PODS: "renumber the pods of {owner} of {member}: its pod subnet must be another one",
    }
)
"""How to change each kind of network."""


def remedy_of(concession: Concession) -> str:
    """Return how to change a network, in words."""
    return REMEDIES[concession.effort].format(
        owner=concession.owner, member=concession.member, name=quote(concession.name)
    )


def in_words(obstacle: Obstacle) -> str:
    """Return the text of an obstacle to linking, with the remedy."""
    if obstacle.concession is None:
        return obstacle.text
    return f"{obstacle.text}: {remedy_of(obstacle.concession)}"
