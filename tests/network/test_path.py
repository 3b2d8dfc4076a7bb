"""``kgctl path`` reports reachability exactly as ping finds it, in random clusters."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kgctl.mesh.cidr import parse_address
from kgctl.mesh.path.ends import find_end
from kgctl.mesh.path.route import Reason
from kgctl.mesh.path.walk import find_path
from kgctl.render.path import path_to_text
from kgctl.state.load import load_files
from tests.network import laying, randomly
from tests.network.namespace import Lab
from tests.network.objects import write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.mesh.path.walk import Path as Way
    from kgctl.state.load import Cluster
    from tests.network.randomly import Member, Plan

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
SOON, PATIENCE = 2, 40
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
        laying.wire(lab, plan)
        laying.set_up(lab, plan, cluster)
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
