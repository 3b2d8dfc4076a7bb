"""The agent of this node: its record, and how the machine compares with what it sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.agent_run import agent_cluster
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.source import live_cluster, note_clock, note_unread, source_of
from kgctl.errors import HostError, PrivilegeError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.agent.inspection import Inspection
    from kgctl.agent.interface import Settings
    from kgctl.agent.recorded import Recorded
    from kgctl.cli.core.shared import Shared
    from kgctl.host.node_record import NodeRecordFile
    from kgctl.mesh.state import State
    from kgctl.state.interface import Objects

_NOWHERE = "127.0.0.1"
"""The API server's host when files are read: it needs no way outside of the tunnel."""


class NoAgentError(HostError):
    """No agent of kgctl set this machine up."""


class OwnAgent(NamedTuple):
    """The record of this node's agent, and its settings."""

    file: NodeRecordFile
    recorded: Recorded

    @property
    def settings(self) -> Settings:
        """The settings of the agent."""
        return self.recorded.settings


class Compared(NamedTuple):
    """The agent, the objects of the cluster, and how the machine compares with them."""

    agent: OwnAgent
    objects: Objects
    inspection: Inspection

    def state(self) -> State:
        """Return the network that the objects describe."""
        from kgctl.state.objects import state_of

        return state_of(self.objects, topology_label=self.agent.settings.topology_label)


def own_agent(interface: str | None) -> OwnAgent:
    """Return the agent of this node; ``interface`` is needed if there are several.

    Raises:
        NoAgentError: there is none, or it undid everything when it ended.
        UsageError: there are several.
    """
    found = own_agents(interface)
    if len(found) > 1:
        known = ", ".join(printable(one.settings.interface) for one in found)
        raise UsageError(f"this machine has several agents; give --interface, one of: {known}")
    return found[0]


def own_agents(interface: str | None = None) -> list[OwnAgent]:
    """Return the agents of this machine, or that of an interface; at least one.

    Raises:
        NoAgentError: there is none, or it undid everything when it ended.
    """
    from kgctl.agent.recorded import from_record
    from kgctl.host.node_record import NodeRecordFile
    from kgctl.host.privileges import require_linux
    from kgctl.host.record import recorded_agents

    require_linux()
    names = recorded_agents() if interface is None else [interface]
    found = []
    for name in names:
        file = NodeRecordFile(name)
        recorded = from_record(file.read().settings)
        if recorded is not None:
            found.append(OwnAgent(file, recorded))
    if not found:
        where = "" if interface is None else f" of {printable(interface)}"
        raise NoAgentError(
            f"this machine has no record{where} of kgctl agent: run this on its node, as the "
            "agent's user, where its records are (RUNTIME_DIRECTORY)"
        )
    return found


def compare(shared: Shared, agent: OwnAgent) -> Compared:
    """Read the cluster as the agent does, and compare the machine with what it sets.

    Raises:
        ClusterError: the cluster cannot be read.
        KgctlError: the machine or the key file cannot be read.
    """
    from kgctl.agent.inspection import inspect
    from kgctl.host.privileges import has_net_admin

    if not has_net_admin():
        raise PrivilegeError(
            "comparing this machine reads WireGuard and the firewall, which needs the capability "
            "CAP_NET_ADMIN: run it with sudo, or in the agent's container"
        )
    settings, access = agent.recorded
    shared = shared._replace(topology_label=settings.topology_label)
    if shared.filename or shared.example:
        objects, host = source_of(shared).read(), _NOWHERE
    else:
        if shared.kubeconfig or shared.contexts or shared.named:
            cluster = live_cluster(shared)
        else:
            as_agent = shared._replace(kubeconfig=access.kubeconfig, context=access.context)
            cluster = agent_cluster(as_agent, access.master, interactive=True)
        objects, host = cluster.read(), cluster.host()
        note_clock(shared, cluster.clock_ahead())
    note_unread(objects)
    return Compared(agent, objects, inspect(settings, objects, agent.file, host=host))
