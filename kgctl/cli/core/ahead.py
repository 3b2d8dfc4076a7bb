"""Head start: the first request to the API server, sent before Typer parses the command line.

Typer takes longer to import than a small cluster takes to answer. So this module reads the raw
arguments: if they belong to a command that reads a live cluster, it sends the first request at
once, and the server works on it while Typer is imported. A wrong guess has no effect except a
request whose answer is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.core.line import read_line
from kgctl.cli.core.surroundings import surrounded
from kgctl.cli.core.table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.cli.core.line import Shared
    from kgctl.state.api_server import ApiServer

DEFAULT_TIMEOUT = "30s"
_ELSEWHERE = tuple(option.field for option in OPTIONS if option.head_start == "elsewhere")


class Target(NamedTuple):
    """The live cluster that the options name, unparsed.

    The fields are the options whose ``head_start`` in the table is ``names``.
    """

    kubeconfig: str | None = None
    context: str | None = None
    request_timeout: str | None = None
    topology_label: str | None = None
    max_list_size: str | None = None

    @classmethod
    def of(cls, shared: Shared) -> Target:
        """Return the live cluster that the shared options name."""
        return cls(*(getattr(shared, field) for field in cls._fields))

    def server(
        self, *, debug: bool = False, interactive: bool = True, every_label: bool = False
    ) -> ApiServer:
        """Return the live cluster, not yet connected.

        Reads only the location label of nodes, unless ``every_label`` is set.

        Raises:
            ClusterError: the timeout or the size is invalid.
        """
        from kgctl.kilo import TOPOLOGY_LABEL
        from kgctl.kube.budget import MEMORY, parse_size
        from kgctl.kube.timeout import parse_timeout
        from kgctl.state.api_server import ApiServer

        timeout = DEFAULT_TIMEOUT if self.request_timeout is None else self.request_timeout
        trace = None
        if debug:
            from kgctl.cli.core.output import note

            trace = note
        return ApiServer(
            kubeconfig=self.kubeconfig,
            context=self.context,
            request_timeout=parse_timeout(timeout),
            label="" if every_label else self.topology_label or TOPOLOGY_LABEL,
            interactive=interactive,
            trace=trace,
            memory=MEMORY if self.max_list_size is None else parse_size(self.max_list_size),
        )


class Ahead:
    """Holds the API server that was asked ahead, until a command takes it."""

    def __init__(self) -> None:
        self._asked: tuple[Target, ApiServer] | None = None

    def ask(self, arguments: Sequence[str]) -> None:
        """Send the first request to the live cluster that the arguments name, if any."""
        from kgctl.errors import KgctlError

        try:
            target = target_of(arguments)
            if target is None:
                return
            server = target.server()
        except KgctlError:
            return  # the command reports it
        server.ask()
        self._asked = (target, server)

    def take(self, target: Target) -> ApiServer | None:
        """Return the server that was asked if it is ``target``, else None; works once."""
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        if asked[0] == target:
            return asked[1]
        asked[1].close()
        return None


ahead = Ahead()
"""The head start of this process."""


def target_of(arguments: Sequence[str]) -> Target | None:
    """Return the live cluster that a command with these arguments will read; None if in doubt."""
    line = read_line(arguments)
    if line is None or line.shared.several:
        return None
    if any(getattr(line.shared, field) for field in _ELSEWHERE):
        return None
    if surrounded(line.command.name, line.shared).around:
        return None
    return Target.of(line.shared)
