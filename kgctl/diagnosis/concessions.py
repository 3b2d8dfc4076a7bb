"""What to do where two clusters that are to be linked have one network: which one gives it up."""

from __future__ import annotations

from shlex import quote
from types import MappingProxyType
from typing import TYPE_CHECKING

from kgctl.mesh.linking import Effort

if TYPE_CHECKING:
    from kgctl.mesh.linking import Concession, Obstacle

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
