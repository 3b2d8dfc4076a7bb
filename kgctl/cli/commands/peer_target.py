"""Target of ``kgctl peer``: the source of state, and the store of Peer objects."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.agents import look_up
from kgctl.cli.core.arguments import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.commands.agents import LookUp
    from kgctl.cli.core.shared import Shared
    from kgctl.mesh.state import State
    from kgctl.state.interface import Source
    from kgctl.state.peers import PeerObjects


class Target(NamedTuple):
    """A source of state, and the Peer objects if it is a live cluster.

    ``options`` name it in suggested commands; ``sleep`` waits some seconds; ``look_up`` resolves
    names, None for files.
    """

    source: Source
    open_store: Callable[[], PeerObjects] | None = None
    options: tuple[str, ...] = ()
    sleep: Callable[[float], None] = time.sleep
    look_up: LookUp | None = None

    def state(self) -> State:
        """Read the cluster, with its peers as stored now."""
        from kgctl.state.objects import state_of

        return state_of(self.source.read())

    def store(self) -> PeerObjects:
        """Return the store in which Peer objects can be changed.

        Raises:
            UsageError: the source is not a live cluster.
        """
        if self.open_store is None:
            raise UsageError(
                "files and the example cannot be changed: omit --filename and --example, or "
                "print a manifest with: kgctl peer add NAME --dry-run=client -o yaml"
            )
        return self.open_store()

    def command(self, *arguments: str) -> str:
        """Return a kgctl command to suggest, quoted for a shell."""
        return shlex.join(("kgctl", *arguments, *self.options))


def target_of(shared: Shared) -> Target:
    """Return the target that the shared options name.

    Raises:
        UsageError: the options name more than one source, or an unknown backend.
    """
    from kgctl.cli.core.source import source_of
    from kgctl.state.api_server import ApiServer

    source = source_of(shared)
    if not isinstance(source, ApiServer):
        return Target(source)
    named = (("--kubeconfig", shared.kubeconfig), ("--context", shared.context))
    options = [text for name, value in named if value is not None for text in (name, value)]
    return Target(source, source.peers, tuple(options), look_up=look_up)
