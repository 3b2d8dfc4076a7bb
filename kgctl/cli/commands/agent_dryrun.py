"""``kgctl agent --dry-run``: print what the agent sets up on its node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from kgctl.agent.interface import Firewall
from kgctl.cli.commands.agent_run import agent_cluster
from kgctl.cli.core.limits import Warned, warn_of_unknown
from kgctl.cli.core.names import ready_node
from kgctl.cli.core.output import answer_with_secret, holds_secret
from kgctl.cli.core.source import note_clock, note_unread, read, reading_of
from kgctl.mesh.agent_plan import agent_plan
from kgctl.mesh.node_grants import limited_on_node, seen_by_node
from kgctl.render.agent_plan import NodeSettings, plan_as_json, plan_commands
from kgctl.wireguard.conf import node_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.agent.interface import Settings
    from kgctl.cli.core.shared import Shared
    from kgctl.cli.core.source import Reading
    from kgctl.mesh.agent_plan import AgentPlan
    from kgctl.mesh.node import Node
    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.conf import Configuration


class _Planned(NamedTuple):
    topology: Topology
    node: Node
    plan: AgentPlan
    configuration: Configuration | None


def show_plan(shared: Shared, master: str | None, settings: Settings, *, as_json: bool) -> None:
    """Print the plan of the node, as commands or in JSON; nothing is changed.

    Raises:
        UnknownNameError: the node does not exist, or is not ready.
        KgctlError: the cluster cannot be read, or its nodes form no network.
    """
    planned = _planned(_read(shared, master), settings)
    if as_json:
        found = plan_as_json(planned.plan, planned.configuration, settings.interface)
        configuration = planned.configuration
        secret = configuration is not None and holds_secret(configuration)
        answer_with_secret(f"{json.dumps(found, indent=2)}\n", holds_one=secret)
    else:
        answer_with_secret(
            "".join(f"{line}\n" for line in _commands(planned, settings)), holds_one=False
        )


def _read(shared: Shared, master: str | None) -> Reading:
    if shared.filename or shared.example:
        return read(shared)
    with agent_cluster(shared, master, interactive=True) as cluster:
        objects = cluster.read()
        note_clock(shared, cluster.clock_ahead())
    note_unread(objects)
    return reading_of(shared, objects)


def _planned(reading: Reading, settings: Settings) -> _Planned:
    node = ready_node(reading, settings.hostname)
    seen, refusals = seen_by_node(
        reading.state,
        node,
        now=reading.now,
        granularity=settings.granularity,
        subnet=settings.subnet,
        limits=settings.limits,
        acting_leaders=True,
    )
    warn_of_unknown(settings.limits, reading.state.names)
    found = limited_on_node(seen, node.name, settings.limits)
    Warned().warn([*refusals, *found.refusals])
    topology = found.topology
    plan = agent_plan(topology, node, settings.plan)
    configuration = None
    if plan.leads and node.endpoint is not None:
        configuration = node_configuration(topology, node, listen_port=node.endpoint.port)
    return _Planned(topology, node, plan, configuration)


_NFTABLES = "# with --firewall nftables, one transaction of nft sets what iptables sets here"


def _commands(planned: _Planned, settings: Settings) -> Iterator[str]:
    if settings.firewall is Firewall.NFTABLES:
        yield _NFTABLES
    internal = planned.node.internal_ip
    node_settings = NodeSettings(
        interface=settings.interface,
        key_file=settings.key_file,
        create=settings.create_interface,
        mtu=settings.mtu,
        compatibility=settings.plan.compatibility,
        internal=None if internal is None else internal.address,
    )
    names = {
        peer.public_key: peer.name for peer in planned.topology.peers if peer.public_key is not None
    }
    yield from plan_commands(planned.plan, planned.configuration, node_settings, names)
