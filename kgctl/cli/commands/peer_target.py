"""Target of ``kgctl peer``: the source of state, and the store of Peer objects."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.agents import look_up
from kgctl.cli.commands.peer_values import KIND
from kgctl.cli.core.arguments import UsageError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.commands.agents import LookUp
    from kgctl.cli.core.shared import Shared
    from kgctl.mesh.state import State
    from kgctl.state.folder import Folder
    from kgctl.state.interface import PeerStore, Source


class Target(NamedTuple):
    """A source of state, and the Peer objects if it is a live cluster or a folder's network.

    ``options`` name it in suggested commands; ``sleep`` waits some seconds; ``look_up`` resolves
    names, None for files. ``files`` are manifests that are no network, by name.
    """

    source: Source
    open_store: Callable[[], PeerStore] | None = None
    options: tuple[str, ...] = ()
    sleep: Callable[[float], None] = time.sleep
    look_up: LookUp | None = None
    files: tuple[str, ...] = ()

    @property
    def folder(self) -> Folder | None:
        """The folder, if its network is the target."""
        from kgctl.state.folder import Folder

        return self.source if isinstance(self.source, Folder) else None

    @property
    def kind(self) -> str:
        """The kind of a Peer in messages: only that of a cluster has a group."""
        return KIND if self.folder is None else "peer"

    def key_file(self, name: str, suffix: str = ".key") -> Path:
        """Return the file for a new key of the peer ``name``, in a folder's network one in it."""
        if self.folder is None:
            return Path(f"{name}{suffix}")
        return self.folder.keys / f"{name}{suffix}"

    def state(self) -> State:
        """Read the cluster, with its peers as stored now."""
        from kgctl.state.objects import state_of

        return state_of(self.source.read())

    def store(self) -> PeerStore:
        """Return the store in which Peer objects can be changed.

        Raises:
            UsageError: the source is not a live cluster.
        """
        if self.open_store is None:
            folder = next((name for name in self.files if Path(name).is_dir()), "DIR")
            raise UsageError(
                "files and the example cannot be changed: omit --filename and --example, or "
                "print a manifest with: kgctl peer add NAME --dry-run=client -o yaml; to make a "
                f"network of a folder of Peers, without Kubernetes: kgctl init {printable(folder)}"
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
    from kgctl.state.folder import Folder

    source = source_of(shared)
    if isinstance(source, Folder):
        named = () if shared.around else ("-f", str(source.path))
        return Target(source, source.peers, named)
    if not isinstance(source, ApiServer):
        return Target(source, files=tuple(shared.filename or ()))
    given = (("--kubeconfig", shared.kubeconfig), ("--context", shared.context))
    options = [text for name, value in given if value is not None for text in (name, value)]
    return Target(source, source.peers, tuple(options), look_up=look_up)
