"""A head start: the API server is asked before the command line is even understood.

Reading the arguments takes Typer, which takes longer to import than a small cluster takes to
answer. So what can be told without it is told here, from the arguments as they stand: if they are
those of a command that reads a live cluster, its first request is sent at once, and the server
works on it meanwhile. Where this guess is wrong the answer is not used, and nothing else happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.state.api_server import ApiServer

DEFAULT_TIMEOUT = "30s"
_READERS = frozenset({"graph", "showconf", "get", "check", "path", "drift"})
_VALUED = frozenset({"--at", "--mesh-granularity", "--port", "--backend"})
_ELSEWHERE = ("-f", "--filename", "--example", "--cluster", "--debug", "-h", "--help")


class Target(NamedTuple):
    """The live cluster that options name, as they were given."""

    kubeconfig: str | None = None
    context: str | None = None
    request_timeout: str | None = None
    topology_label: str | None = None
    max_list_size: str | None = None

    def server(
        self, *, debug: bool = False, interactive: bool = True, every_label: bool = False
    ) -> ApiServer:
        """Return the live cluster; nothing is connected yet.

        Of nodes' labels only that of the location is read, unless ``every_label`` is wanted.

        Raises:
            ClusterError: the timeout is none, or the size.
        """
        from kgctl.kube.budget import MEMORY, parse_size
        from kgctl.kube.objects import TOPOLOGY_LABEL
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
    """The server that was asked ahead, until it is taken."""

    def __init__(self) -> None:
        self._asked: tuple[Target, ApiServer] | None = None

    def ask(self, arguments: Sequence[str]) -> None:
        """Ask the live cluster that the arguments lead to, if they lead to one."""
        from kgctl.mesh.errors import KgctlError

        target = target_of(arguments)
        if target is None:
            return
        try:
            server = target.server()
        except KgctlError:
            return  # the command says it better
        server.ask()
        self._asked = (target, server)

    def take(self, target: Target) -> ApiServer | None:
        """Return the server that was asked, if it is ``target``; only once."""
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        if asked[0] == target:
            return asked[1]
        asked[1].close()
        return None


ahead = Ahead()
"""Of this run."""


def target_of(arguments: Sequence[str]) -> Target | None:
    """Return the live cluster that a command with these arguments will read; None if unsure."""
    command = None
    given: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        option = name.removeprefix("--").replace("-", "_")
        if word == "--":
            break
        if name.startswith("--") and option in Target._fields:
            value = value if equals else next(words, "")
            if option == "context" and given.get(option, value) != value:
                return None  # several clusters, which are read at once
            given[option] = value
        elif name in _VALUED and not equals:
            next(words, "")
        elif word.startswith(_ELSEWHERE):
            return None
        elif command is None and not word.startswith("-"):
            command = word
    return Target(**given) if command in _READERS else None
