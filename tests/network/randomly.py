"""Random clusters: sites with and without NAT, overlaps, some keepalives.

They have the mistakes of agents and people that the state of a cluster shows: no hidden firewall,
and no host that is down. Endpoints that are routed into the tunnel are left out: the result is
random then, since packets that bypassed the tunnel change where WireGuard sends the next.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.network.objects import HEARTBEAT_AHEAD, discovered_endpoints
from tests.network.plan import KEEPALIVE, PORT
from tests.network.tunnel import KeyPair

if TYPE_CHECKING:
    from random import Random

    from tests.network.objects import Object


@dataclass
class Member:
    """A node or a machine outside: how it is attached, and its object."""

    name: str
    keys: KeyPair
    address: str
    """The address that it pings from: of a pod, or its own inside the tunnel."""
    public: str | None
    """Where it stands on the Internet; None = behind the NAT of its site."""
    lan: str | None = None
    """Its address on the network of its site."""
    annotations: dict[str, str] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Where packets start: a pod on the node, or the machine itself."""
        return f"{self.name}-pod" if self.lan else self.name

    def object(self) -> Object:
        """Return the Node or Peer object."""
        metadata = {"name": self.name}
        if not self.lan:
            spec = {**self.spec, "publicKey": self.keys.public}
            return {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer",
                    "metadata": metadata, "spec": spec}  # fmt: skip
        own = {"key": self.keys.public, "last-seen": str(int(time.time()) + HEARTBEAT_AHEAD)}
        annotations = {f"kilo.squat.ai/{k}": v for k, v in {**own, **self.annotations}.items()}
        return {"apiVersion": "v1", "kind": "Node", "spec": self.spec,
                "metadata": {**metadata, "annotations": annotations}}  # fmt: skip


@dataclass
class Site:
    """A location: its nodes on one private network, behind a NAT or not; or a machine's home."""

    name: str
    network: str
    """The first three numbers of its private network, a /24; its router or host is the first."""
    public: str | None
    """Where its NAT stands on the Internet; None = it has none."""
    members: list[Member]


@dataclass
class Plan:
    """A whole cluster, and the addresses worth a ping."""

    granularity: str
    sites: list[Site]
    targets: list[str]

    @property
    def members(self) -> list[Member]:
        """All nodes and machines outside."""
        return [member for site in self.sites for member in site.members]

    def objects(self) -> list[Object]:
        """Return the state of the cluster."""
        return [member.object() for member in self.members]

    def __str__(self) -> str:
        return json.dumps([self.granularity, *self.objects()], indent=1)


def make(random: Random) -> Plan:
    """Return a cluster of two or three locations and up to two machines outside."""
    plan = Plan(random.choice(["location", "full"]), [], [])
    subnets: list[int] = []
    for number in range(1, random.randint(2, 3) + 1):
        plan.sites.append(_location(random, plan, number, subnets))
    for number in range(1, random.randint(0, 2) + 1):
        plan.sites.append(_outside(random, plan, number, subnets))
    _discover(random, plan)
    plan.targets += [f"10.4.0.{number}" for number in range(1, len(subnets) + 1)]
    return plan


def _location(random: Random, plan: Plan, number: int, subnets: list[int]) -> Site:
    network, nat = f"192.168.{number}", random.random() < 0.5
    site = Site(f"site-{number}", network, f"198.18.{number}.2" if nat else None, [])
    for _ in range(random.randint(1, 2)):
        subnets.append(len(subnets) + 1)
        node = _node(random, plan, site, subnets[-1])
        site.members.append(node)
        plan.targets.append(node.address)
    if any("allowed-location-ips" in node.annotations for node in site.members):
        plan.targets.append(f"{network}.129")
    return site


def _node(random: Random, plan: Plan, site: Site, number: int) -> Member:
    lan = f"{site.network}.{number + 1}"
    public = None if site.public else f"198.18.{100 + number}.2"
    called = lan if public is None or random.random() < 0.15 else public
    annotations = {
        "endpoint": f"{called}:{PORT}",
        "granularity": plan.granularity,
        "location": site.name,
    }
    if public is None or called == lan or random.random() < 0.8:
        annotations["internal-ip"] = f"{lan}/24"  # else it is not on that network at all
        plan.targets.append(lan)
        if random.random() < 0.3:
            annotations["allowed-location-ips"] = f"{site.network}.128/25"
    if random.random() < 0.5:
        annotations["persistent-keepalive"] = str(KEEPALIVE)
    if random.random() < 0.3:
        annotations["leader"] = ""
    return Member(
        f"n{number}", KeyPair.generate(), f"10.42.{number}.2", public, lan, annotations,
        {"podCIDR": f"10.42.{number}.0/24"},
    )  # fmt: skip


def _outside(random: Random, plan: Plan, number: int, subnets: list[int]) -> Site:
    public = f"198.18.{200 + number}.2"
    own, behind = f"10.5.0.{number}", f"172.31.{number}.1"
    spec: dict[str, Any] = {"allowedIPs": [f"{own}/32"]}
    plan.targets.append(own)
    if random.random() < 0.4:
        spec["allowedIPs"].append(f"172.31.{number}.0/24")
        plan.targets.append(behind)
    if random.random() < 0.3:  # a part of somebody's pods: with the pod in it, or without
        subnet = random.choice(subnets)
        spec["allowedIPs"].append(f"10.42.{subnet}.{random.choice([0, 128])}/25")
    if random.random() < 0.5:
        spec["persistentKeepalive"] = KEEPALIVE
    nat = random.random() < 0.5
    if not nat:
        spec["endpoint"] = {"dnsOrIP": {"ip": public}, "port": PORT}
    member = Member(f"p{number}", KeyPair.generate(), own, None if nat else public, spec=spec)
    return Site(f"home-{number}", f"192.168.{100 + number}", public if nat else None, [member])


def _discover(random: Random, plan: Plan) -> None:
    """Let one node tell where it sees those behind NAT, each alone behind its own.

    Of two behind one NAT the second is seen at a port that is anybody's guess.
    """
    alone = [site for site in plan.sites if site.public and len(site.members) == 1]
    seen: dict[str, str | None] = {
        site.members[0].keys.public: f"{site.public}:{PORT}" for site in alone
    }
    if seen and random.random() < 0.6:
        witness = random.choice([member for member in plan.members if member.lan])
        found = discovered_endpoints(seen)["kilo.squat.ai/discovered-endpoints"]
        witness.annotations["discovered-endpoints"] = found
