"""Work of ``kgctl peer rm``: delete Peers, so that they lose access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.commands.peer_values import DRY_RUNS, KEPT
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer, note
from kgctl.errors import KgctlError, NotFoundError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.cli.commands.peer_target import Target
    from kgctl.edit.peer_writes import Mended
    from kgctl.state.interface import PeerStore


class MissingPeersError(KgctlError):
    """Some of the peers to delete do not exist."""


def remove_peers(
    target: Target,
    names: Sequence[str],
    *,
    ignore_not_found: bool = False,
    dry_run: str = "none",
    output: str | None = None,
) -> None:
    """Delete peers one by one; skip those that do not exist.

    Raises:
        MissingPeersError: some do not exist, without ``ignore_not_found``.
        ClusterError: a peer cannot be deleted; the ones after it are not tried.
    """
    if output not in (None, "name"):
        raise UsageError(f'--output "{printable(str(output))}" is unknown; give name')
    store = target.store()
    missing = []
    for name in names:
        found, invalid = _remove(store, name, dry_run)
        if not found:
            missing.append(f'"{printable(name)}"')
        elif output == "name":
            answer(f"{target.kind}/{printable(name)}\n")
        else:
            answer(f'{target.kind} "{printable(name)}" deleted{DRY_RUNS[dry_run]}\n')
        if found and dry_run == "none":
            note_removed(target, name, invalid)
    if missing and not ignore_not_found:
        raise MissingPeersError(f"there is no peer named {', '.join(missing)}")


def note_removed(target: Target, name: str, invalid: Mended | None) -> None:
    """Print on stderr what remains of a deleted peer: its private key, and what agents know.

    ``invalid`` are the facts of its repair, if it was invalid.
    """
    path = target.key_file(name)
    if target.folder is not None and path.exists():
        note(f"its private key stays in {printable(str(path))}: remove it when nobody needs it")
    if invalid is not None and target.folder is None:
        note(f"{printable(name)} was invalid: {_what_agents_do(invalid)}")


def _what_agents_do(invalid: Mended) -> str:
    if invalid.key is not None and not invalid.silently:
        return "it was made valid and empty first, so that agents remove it at once"
    why = "its public key cannot be read" if invalid.key is None else "it may not be changed"
    return f"{why}, so {KEPT}"


def _remove(store: PeerStore, name: str, dry_run: str) -> tuple[bool, Mended | None]:
    """Delete a peer; return whether it existed, and the facts of its repair if it was invalid."""
    from kgctl.edit.peer_writes import delete
    from kgctl.state.interface import PeersNotServedError

    try:
        if dry_run == "client":
            store.get(name)
        elif dry_run == "server":
            store.delete(name, dry_run=True)
        else:
            return True, delete(store, name)
    except PeersNotServedError:
        raise
    except NotFoundError:
        return False, None
    return True, None
