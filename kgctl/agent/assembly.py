"""Makes the parts of an agent from its settings and a cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kgctl.agent.announcement import removal
from kgctl.agent.announcer import Announcer
from kgctl.agent.key_file import node_key
from kgctl.agent.rounds import Rounds
from kgctl.agent.session import HOST, AgentSession
from kgctl.connect.outside import Servers
from kgctl.edit.nodes import NodeObjects
from kgctl.host.interfaces import addresses_of_name, read_interfaces
from kgctl.host.names import Names
from kgctl.host.node_link import NodeLink
from kgctl.host.record import RecordFile
from kgctl.state.follow import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.agent.interface import NodeNetwork, Settings
    from kgctl.connect.journal import Journal
    from kgctl.state.api_server import ApiServer


def agent_session(
    settings: Settings,
    cluster: ApiServer,
    own: ApiServer,
    installed: Callable[[Callable[[], None]], NodeNetwork],
    journal: Journal,
) -> AgentSession:
    """Return the session of the agent of this machine; it has its key, and nothing else is made.

    ``own`` is another client of the same API server, for the thread that announces the node.
    ``installed`` returns what sets routes and firewall, and calls its argument when somebody else
    changes them.

    Raises:
        kgctl.errors.KgctlError: the key cannot be read or made, or links cannot be read.
    """
    inbox = Inbox()
    key = node_key(settings.key_file)
    names = Names(partial(inbox.changed, "names"))
    servers = Servers(cluster.host(), names)
    link = NodeLink(settings.interface, create=settings.create_interface)
    network = installed(partial(inbox.changed, HOST))
    nodes = NodeObjects(own.api())
    write = partial(nodes.announce, settings.hostname)
    record = RecordFile(settings.interface)

    announcer = Announcer(write, journal, lambda: rounds.count_error("checkin"))
    rounds = Rounds(
        settings,
        key,
        link,
        network,
        announcer,
        names,
        servers,
        journal,
        interfaces=read_interfaces,
        named=addresses_of_name(settings.hostname),
        record=record.write,
        earlier=record.read(),
    )
    return AgentSession(
        settings,
        rounds,
        announcer,
        link,
        network,
        journal,
        leave=lambda: write(removal()),
        inbox=inbox,
    )
