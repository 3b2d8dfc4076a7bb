"""Work of ``kgctl peer prune``: delete the Peers whose time is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kgctl.cli.commands.peer_remove import note_removed
from kgctl.cli.commands.peer_values import DRY_RUNS
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer, note
from kgctl.errors import KgctlError, NotFoundError
from kgctl.mesh.readiness import clock_trouble
from kgctl.mesh.text import printable, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kgctl.cli.commands.peer_target import Target


class ClockError(KgctlError):
    """This machine's clock is wrong, so it cannot tell what has expired."""


def prune_peers(target: Target, older_than: str | None, *, dry_run: bool, now: float) -> None:
    """Delete the peers that have expired at ``now``, in Unix seconds, one by one.

    With ``older_than``, a duration such as ``7d``, only those that expired so long ago.

    Raises:
        UsageError: the duration is invalid, or the source cannot be changed.
        ClockError: this machine's clock and the API server's differ.
        ClusterError: a peer cannot be deleted; the ones after it are not tried.
    """
    until = now - _span(older_than)
    store = target.store()
    expired = _expired(target, until)
    for name, end in expired.items():
        if dry_run:
            answer(_line(target, name, "client"))
        else:
            from kgctl.edit.peer_writes import UnwantedError, delete

            try:
                invalid = delete(store, name, lambda peer: _end(peer, until) is not None)
            except NotFoundError:
                continue
            except UnwantedError:
                note(f"{printable(name)} stays: it got more time meanwhile")
                continue
            answer(_line(target, name, "none"))
            note_removed(target, name, invalid)
        note(f"{printable(name)} expired {time_text(end)}")
    if not expired:
        note("no peer has expired" + (f" {older_than} ago" if older_than else ""))


def _line(target: Target, name: str, dry_run: str) -> str:
    return f'{target.kind} "{printable(name)}" deleted{DRY_RUNS[dry_run]}\n'


def _span(older_than: str | None) -> int:
    """Return ``--older-than`` in seconds."""
    from kgctl.state.peer_settings import parse_span

    span = 0 if older_than is None else parse_span(older_than)
    if span is None:
        raise UsageError(
            f'--older-than "{printable(str(older_than), 60)}" is not a duration such as 7d '
            "(m, h, d, w)"
        )
    return span


def _expired(target: Target, until: float) -> dict[str, int]:
    """Return the peers that expired at ``until`` or before, by name, and when."""
    from kgctl.state.api_server import ApiServer
    from kgctl.state.peer_objects import peer_name

    source = target.source
    peers = source.read().peers
    if isinstance(source, ApiServer) and (trouble := clock_trouble(source.clock_ahead())):
        raise ClockError(f"{trouble}, and peers expire by it: set it")
    found = {peer_name(peer): end for peer in peers if (end := _end(peer, until)) is not None}
    return dict(sorted(found.items()))


def _end(peer: Mapping[str, Any], until: float) -> int | None:
    """Return when a Peer expired, in Unix seconds, if that was at ``until`` or before."""
    from kgctl.state.peer_settings import settings_of

    end = settings_of(peer).expires
    return end if end is not None and end <= until else None


def prune_now(target: Target, older_than: str | None, *, dry_run: bool) -> None:
    """Delete the peers that have expired by this machine's clock; see ``prune_peers``."""
    prune_peers(target, older_than, dry_run=dry_run, now=time.time())
