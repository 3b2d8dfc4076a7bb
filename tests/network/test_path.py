"""``kgctl path`` says reachable exactly when a ping is answered, in clusters made at random."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kgctl.cluster.load import load_files
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.path.ends import find_end
from kgctl.mesh.path.reason import Reason
from kgctl.mesh.path.walk import find_path
from kgctl.render.path import path_to_text
from kgctl.wireguard.keys import PrivateKey
from kgctl.wireguard.quick import QuickSettings, quick_configuration
from tests.network import agent, randomly, tunnel, wiring
from tests.network.namespace import Lab
from tests.network.objects import write_manifest
from tests.network.plan import PORT

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.cluster.load import Cluster
    from kgctl.mesh.path.walk import Path as Way
    from tests.network.namespace import Namespace
    from tests.network.randomly import Member, Plan, Site

CLUSTERS = int(os.environ.get("KGCTL_PATH_CLUSTERS", "4"))
FIRST = int(os.environ.get("KGCTL_PATH_FIRST", "1"))
"""The seed of the first of them; to look at one again."""
PINGS = 60
AT_REST = (
    Reason.NO_KEEPALIVE,
    Reason.NO_ENDPOINT,
    Reason.PRIVATE_ENDPOINT,
    Reason.SAME_NAT,
)
"""Why a tunnel does not come up by itself. It may be up once another packet has opened it."""
SOON, PATIENCE = 2, 15
"""Seconds to wait for an answer that is not to come, and for one that is."""


class Ping(NamedTuple):
    """A packet from a member to an address, and what is said of it."""

    source: Member
    target: str
    said: Way


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CLUSTERS))
def test_it_says_reachable_exactly_when_ping_gets_through(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    plan = randomly.make(random)
    cluster = load_files(write_manifest(tmp_path / "state.json", plan.objects()))
    pings = _pings(plan, cluster)
    random.shuffle(pings)
    with Lab() as lab:
        _wire(lab, plan)
        _set_up(lab, plan, cluster)
        for chosen, patience in _in_order(pings[:PINGS]):
            answered = _ping(lab, chosen, patience)
            wrong = [one for one, came in zip(chosen, answered, strict=True)
                     if came is not one.said.reachable]  # fmt: skip
            assert not wrong, _told(seed, plan, lab, wrong)


def test_there_are_answers_of_every_kind() -> None:
    """The clusters are worth their time: most reasons are among the first thirty."""
    reasons = set()
    arrived = 0
    for seed in range(1, 31):
        plan = randomly.make(Random(seed))
        state = _state(plan)
        for one in _pings(plan, state):
            walk = one.said.back or one.said.there
            arrived += one.said.reachable
            reasons.add(walk.failure.reason if walk.failure else None)
    assert arrived > 200
    assert reasons >= {None, *AT_REST[:3], Reason.SOURCE_REFUSED, Reason.OUTSIDE}


def _state(plan: Plan) -> Cluster:
    import tempfile
    from pathlib import Path as File

    with tempfile.TemporaryDirectory() as directory:
        return load_files(write_manifest(File(directory, "state.json"), plan.objects()))


def _pings(plan: Plan, cluster: Cluster) -> list[Ping]:
    topology = cluster.topology(hostname="")
    found = []
    for source in plan.members:
        start = find_end(topology, f"{'node' if source.lan else 'peer'}/{source.name}")
        assert start is not None
        start = start._replace(addresses=(parse_address(source.address),))  # type: ignore[arg-type]
        for target in plan.targets:
            end = find_end(topology, target)
            if end is not None and end.machine is not None and target != source.address:
                found.append(Ping(source, target, find_path(topology, start, end)))
    return found


def _in_order(pings: list[Ping]) -> list[tuple[list[Ping], int]]:
    """Return first those that may not open a tunnel, while all are at rest; last those that do."""
    resting, stopped, arriving = list[Ping](), list[Ping](), list[Ping]()
    for one in pings:
        failure = one.said.there.failure
        if one.said.reachable:
            arriving.append(one)
        elif failure is not None and failure.reason in AT_REST:
            resting.append(one)
        else:
            stopped.append(one)
    return [(resting, SOON), (stopped, SOON), (arriving, PATIENCE)]


def _ping(lab: Lab, pings: list[Ping], patience: int) -> list[bool]:
    def answered(one: Ping) -> bool:
        argv = ("ping", "-n", "-c", "1", "-w", str(patience), "-i", "0.5", "-I",
                one.source.address, one.target)  # fmt: skip
        done = lab.namespaces[one.source.host].run(*argv, timeout=patience + 20, check=False)
        return done.returncode == 0

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(answered, pings))


def _wire(lab: Lab, plan: Plan) -> None:
    internet = lab.add("internet")
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


def _set_up(lab: Lab, plan: Plan, cluster: Cluster) -> None:
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


def _told(seed: int, plan: Plan, lab: Lab, wrong: list[Ping]) -> str:
    said = "\n".join(
        f"{one.source.name} to {one.target}: said {one.said.reachable}\n{path_to_text(one.said)}"
        for one in wrong
    )
    state = "".join(
        f"--- {label}\n{namespace.ip('route')}{namespace.run('wg', 'show').stdout}"
        for label, namespace in lab.namespaces.items()
    )
    return f"seed {seed}, {len(wrong)} wrong:\n{said}\n{plan}\n{state}"
