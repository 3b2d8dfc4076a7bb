"""``kgctl peer rm``: peers that are to lose access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.arguments import UsageError
from kgctl.cli.output import answer
from kgctl.cli.peer.printing import DRY_RUNS, KIND
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.cli.peer.target import Target
    from kgctl.cluster.peers import PeerObjects


class MissingPeersError(KgctlError):
    """Some of the peers to be deleted are not there."""


def remove_peers(
    target: Target,
    names: Sequence[str],
    *,
    ignore_not_found: bool = False,
    dry_run: str = "none",
    output: str | None = None,
) -> None:
    """Delete peers one by one; one that is missing keeps none of the others from it.

    Raises:
        MissingPeersError: some are not there, and that matters.
        ClusterError: one cannot be deleted; those after it are not tried.
    """
    if output not in (None, "name"):
        raise UsageError(f'--output "{printable(str(output))}" is unknown; it is name')
    store = target.store()
    missing = []
    for name in names:
        if not _remove(store, name, dry_run):
            missing.append(f'"{printable(name)}"')
        elif output == "name":
            answer(f"{KIND}/{printable(name)}\n")
        else:
            answer(f'{KIND} "{printable(name)}" deleted{DRY_RUNS[dry_run]}\n')
    if missing and not ignore_not_found:
        raise MissingPeersError(f"there is no peer named {', '.join(missing)}")


def _remove(store: PeerObjects, name: str, dry_run: str) -> bool:
    """Delete a peer, and tell whether there was one."""
    from kgctl.cluster.errors import NotFoundError, PeersNotServedError

    try:
        if dry_run == "client":
            store.get(name)
        else:
            store.delete(name, dry_run=dry_run == "server")
    except PeersNotServedError:
        raise
    except NotFoundError:
        return False
    return True
