"""Planned clusters in namespaces: sites, NATs, nodes with a pod, external machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.cidr import parse_address
from kgctl.wireguard.keys import PrivateKey
from kgctl.wireguard.quick import QuickSettings, quick_configuration
from tests.network import agent, tunnel, wiring
from tests.network.plan import PORT

if TYPE_CHECKING:
    from kgctl.state.load import Cluster
    from tests.network.namespace import Lab, Namespace
    from tests.network.randomly import Member, Plan, Site


def wire(lab: Lab, plan: Plan) -> None:
    """Lay the sites of a plan, and what connects them: to an Internet that may be there already."""
    internet = lab.namespaces.get("internet") or lab.add("internet")
    wiring.forward(internet)
    for site in plan.sites:
        _wire_site(lab, internet, site)
        for member in site.members:
            _wire_member(lab, internet, site, member)


def _attach(internet: Namespace, namespace: Namespace, public: str) -> None:
    gateway = f"{public.rpartition('.')[0]}.1"
    wiring.connect(namespace, "uplink", internet, namespace.label)
    wiring.assign(namespace, "uplink", f"{public}/24")
    wiring.assign(internet, namespace.label, f"{gateway}/24")
    wiring.default_routes(namespace, gateway)


def _wire_site(lab: Lab, internet: Namespace, site: Site) -> None:
    router = lab.add(site.name)
    wiring.bridge(router, "lan", f"{site.network}.1/24", f"{site.network}.129/24")
    if site.public:
        _attach(internet, router, site.public)
        wiring.home_router(router, "uplink", "nftables")


def _wire_member(lab: Lab, internet: Namespace, site: Site, member: Member) -> None:
    namespace, router = lab.add(member.name), lab.namespaces[site.name]
    wiring.forward(namespace)
    if "internal-ip" in member.annotations or member.public is None:
        wiring.connect(namespace, "lan", router, member.name)
        router.ip("link", "set", member.name, "master", "lan")
        wiring.assign(namespace, "lan", f"{member.lan or f'{site.network}.2'}/24")
    if member.public:
        _attach(internet, namespace, member.public)
    elif site.public:
        wiring.default_routes(namespace, f"{site.network}.1")
    if member.lan:
        subnet = member.address.rpartition(".")[0]
        wiring.bridge(namespace, "kube-bridge", f"{subnet}.1/24")
        pod = lab.add(member.host)
        wiring.connect(pod, "eth0", namespace, "pod")
        namespace.ip("link", "set", "pod", "master", "kube-bridge")
        wiring.assign(pod, "eth0", f"{member.address}/24")
        wiring.default_routes(pod, f"{subnet}.1")


def set_up(lab: Lab, plan: Plan, cluster: Cluster) -> None:
    """Set up every ready member as its agent, or wg-quick, would by the state of ``cluster``."""
    for member in plan.members:
        namespace = lab.namespaces[member.name]
        if member.lan:
            node = cluster.state.node(member.name)
            assert node is not None
            view = cluster.topology(hostname=member.name)
            agent.set_up(namespace, member.keys.private, view, node)
            continue
        topology = cluster.topology()
        peer = topology.peer(member.name)
        key = PrivateKey.parse(member.keys.private)
        assert peer is not None
        settings = QuickSettings(private_key=key, listen_port=PORT)
        tunnel.join(namespace, str(quick_configuration(topology, peer, settings)))
        behind = [cidr for cidr in peer.allowed_ips if cidr.host_bits]
        answering = [target for target in plan.targets
                     for cidr in behind if cidr.contains(parse_address(target))]  # type: ignore[arg-type]  # fmt: skip
        wiring.assign(namespace, "lo", *(f"{target}/32" for target in answering))
