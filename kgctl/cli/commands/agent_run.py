"""The run of ``kgctl agent``: its access to the cluster, and its session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.agent.recorded import Access, to_record
from kgctl.cli.core.ahead import DEFAULT_TIMEOUT
from kgctl.cli.core.output import note
from kgctl.errors import KgctlError
from kgctl.host.node_record import NodeRecordFile
from kgctl.host.record import RecordFile

if TYPE_CHECKING:
    from kgctl.agent.interface import Settings
    from kgctl.cli.commands.connect_run import Level
    from kgctl.cli.core.shared import Shared
    from kgctl.state.api_server import ApiServer


OWN_TIMEOUT = 10.0
"""Seconds for a write of the node's annotations; the next heartbeat brings them anyway."""

WATCH_SECONDS = 290


def agent_cluster(
    shared: Shared,
    master: str | None,
    timeout: float | None = None,
    *,
    interactive: bool = False,
) -> ApiServer:
    """Return the cluster of an agent, not yet connected; ``timeout`` is in seconds.

    Without a kubeconfig, a context and ``master``, an agent in a Pod uses its service account. An
    exec plugin of the kubeconfig may prompt only if ``interactive``.

    Raises:
        ClusterError: there is no access to a cluster, or an option is invalid.
    """
    from kgctl.kube.access.kubeconfig import access_by_flags
    from kgctl.kube.budget import MEMORY, parse_size
    from kgctl.kube.timeout import parse_timeout
    from kgctl.state.api_server import ApiServer

    size, given = shared.max_list_size, shared.request_timeout
    if timeout is None:
        timeout = parse_timeout(DEFAULT_TIMEOUT if given is None else given)
    return ApiServer(
        access=access_by_flags(shared.kubeconfig, shared.context, master),
        request_timeout=timeout,
        label=shared.location_label,
        interactive=interactive,
        trace=note if shared.debug else None,
        memory=MEMORY if size is None else parse_size(size),
    )


def run(
    shared: Shared,
    master: str | None,
    settings: Settings,
    listen: tuple[str, int],
    level: Level,
    *,
    once: bool,
) -> None:
    """Run the agent until a signal arrives, or a single round if ``once``.

    Raises:
        KgctlError: it cannot start.
    """
    from kgctl.host.privileges import require_linux, require_net_admin

    require_linux()
    cluster = agent_cluster(shared, master)
    own = agent_cluster(shared, master, timeout=OWN_TIMEOUT)
    require_net_admin()
    file = NodeRecordFile(settings.interface)
    access = Access(_whole_path(shared.kubeconfig), shared.context, master)
    file.claim(to_record(settings, access))
    try:
        _run(settings, file, cluster, own, listen, level, once=once)
    finally:
        file.release(keep_settings=once or not settings.clean_up)


def _whole_path(name: str | None) -> str | None:
    return None if name is None else str(Path(name).absolute())


def _run(
    settings: Settings,
    file: NodeRecordFile,
    cluster: ApiServer,
    own: ApiServer,
    listen: tuple[str, int],
    level: Level,
    *,
    once: bool,
) -> None:
    """Run the session of the agent; ``listen`` is the address of its HTTP server."""
    from kgctl.agent.assembly import agent_session
    from kgctl.agent.installed import InstalledNetwork
    from kgctl.agent.web import serve_web
    from kgctl.cli.commands.connect_run import log_journal
    from kgctl.state.feeds import ClusterInformer

    journal = log_journal(level, None)
    session = agent_session(
        settings,
        cluster,
        own,
        lambda changed: InstalledNetwork(settings, file, journal, changed),
        journal,
    )
    copy = ClusterInformer(
        cluster.api(), session, lasts=WATCH_SECONDS, poll=settings.period, heartbeats=False
    )
    if once:
        if not session.once(copy):
            raise KgctlError("the round did not succeed: the log has the reasons")
        return
    with serve_web(
        session, settings, listen, lambda error: journal.error("the web server failed", err=error)
    ):
        session.stay(copy)
    if settings.clean_up:
        RecordFile(settings.interface).remove()
