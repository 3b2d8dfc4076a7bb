"""``kgctl check --node-agent``: the agents of this machine, for the rules about them."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from kgctl.agent.inspection import without_handshakes
from kgctl.cli.commands.drift_node import inspection_lines
from kgctl.cli.commands.own_agent import compare, own_agents
from kgctl.connect.rounds import known_refusals
from kgctl.connect.status import peer_statuses
from kgctl.diagnosis.node_agent import Kind, Lasting, NodeAgent, Parameter, SilentPeer
from kgctl.diagnosis.report import examine_agents
from kgctl.host.differences import Part
from kgctl.host.privileges import source_towards
from kgctl.host.record import is_locked, record_to_show
from kgctl.kilo import PREFIX
from kgctl.mesh.readiness import age
from kgctl.render.changes import line_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.agent.inspection import Inspection
    from kgctl.cli.commands.own_agent import Compared
    from kgctl.cli.core.shared import Shared
    from kgctl.diagnosis.finding import NodeRule
    from kgctl.diagnosis.report import Report
    from kgctl.host.record import KnownPeer, Record
    from kgctl.mesh.state import State

_KINDS = {
    Part.INTERFACE.value: Kind.INTERFACE,
    Part.ADDRESS.value: Kind.INTERFACE,
    Part.MTU.value: Kind.INTERFACE,
    Part.STATE.value: Kind.INTERFACE,
    Part.ROUTE.value: Kind.ROUTE,
    Part.RULE.value: Kind.RULE,
    Part.FIREWALL.value: Kind.FIREWALL,
}
"""The kind of a finding by the kind of a difference; all others are of the device."""


def checked_agents(shared: Shared, rules: Sequence[NodeRule]) -> Report:
    """Check the agents of this machine.

    Raises:
        KgctlError: there is none, or the cluster or the machine cannot be read.
    """
    found: list[NodeAgent] = []
    annotations: dict[str, Mapping[str, str]] = {}
    for one in own_agents():
        compared = compare(shared, one)
        annotations |= {node.name: node.annotations for node in compared.objects.nodes}
        record = record_to_show(one.settings.interface)
        runs = is_locked(one.settings.interface)
        found.append(node_agent(compared, record, runs, time.time()))
    return examine_agents(found, rules, annotations)


def node_agent(
    compared: Compared, record: Record | None, runs: bool | None, now: float
) -> NodeAgent:
    """Return what was seen of an agent at ``now`` (Unix seconds).

    ``record`` is that of its last round; ``runs`` is whether it holds its lock.
    """
    settings, found = compared.agent.settings, compared.inspection
    state = compared.state()
    announced, heartbeat = _announced(compared, state, now)
    problems = () if record is None else record.problems
    failing = [Lasting(one.message, one.since) for one in problems if runs is not False]
    known = {one.text for one in failing}
    failing += (Lasting(one) for one in found.problems if one not in known)
    known_since = {} if record is None else {one.message: one.since for one in record.refusals}
    return NodeAgent(
        node=settings.hostname,
        interface=settings.interface,
        now=now,
        runs=runs,
        started=0 if record is None else record.started,
        announced=announced,
        heartbeat=heartbeat,
        differences=_differences(found, state),
        silent=tuple(_silent(found, {} if record is None else record.peers, now)),
        refused=tuple(
            Lasting(one.message, known_since.get(one.message, 0))
            for one in known_refusals(found.refused)
            if not one.expected
        ),
        failing=tuple(failing),
        parameters=tuple(
            Parameter(one.about, one.found or "", one.wanted or "")
            for one in found.differences
            if one.part is Part.PARAMETER
        ),
        inside={found.names.get(str(key), str(key)): str(one) for key, one in found.inside.items()},
        unseen=found.unread,
    )


def _announced(compared: Compared, state: State, now: float) -> tuple[bool, float | None]:
    """Return whether the node has an agent's annotations, and the age of its heartbeat."""
    name = compared.agent.settings.hostname
    source = next((one for one in compared.objects.nodes if one.name == name), None)
    node = next((one for one in state.nodes if one.name == name), None)
    if source is None or node is None:
        return False, None
    age_of = max(0.0, now - node.last_seen) if node.last_seen else None
    return f"{PREFIX}key" in source.annotations, age_of


def _differences(found: Inspection, state: State) -> Mapping[Kind, list[str]]:
    kept = found._replace(
        differences=tuple(one for one in found.differences if one.part is not Part.PARAMETER),
        drifts=tuple(without_handshakes(found.drifts)),
        inside={},
    )
    sorted_by_kind: defaultdict[Kind, list[str]] = defaultdict(list)
    for line in inspection_lines(kept, state):
        sorted_by_kind[_KINDS.get(line.kind, Kind.DEVICE)].append(line_text(line).strip())
    return {kind: sorted_by_kind[kind] for kind in Kind if kind in sorted_by_kind}


def _silent(found: Inspection, known: Mapping[str, KnownPeer], now: float) -> Iterator[SilentPeer]:
    """Yield the peers that should have a session: with a keepalive, or never met."""
    if found.device is None or found.decided is None or found.decided.configuration is None:
        return
    wanted = {str(one.public_key) for one in found.decided.configuration.peers}
    for one in peer_statuses(found.device, known, now=now, source=source_towards):
        never = one.handshake_age is None
        if one.connected or one.public_key not in wanted or not (never or one.keepalive):
            continue
        last = "never" if one.handshake_age is None else f"{age(one.handshake_age)} ago"
        name = found.names.get(one.public_key) or one.name or one.public_key
        yield SilentPeer(name, last, one.reasons)
