"""Work of ``kgctl peer validate``: check Peers against Kilo's rules, in a cluster or in files."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from kgctl.cli.commands.peer_values import KIND
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.source import note_unread
from kgctl.errors import KgctlError
from kgctl.kilo import API_VERSION
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.state.interface import Objects, Source

    Peers = Sequence[Mapping[str, Any]]


class InvalidPeersError(KgctlError):
    """Some Peers break Kilo's rules; stderr names each."""


def validate_peers(
    source: Source, service_cidrs: Sequence[Cidr] = (), *, files: Sequence[str] = ()
) -> None:
    """Check every Peer of the source; report problems and warnings on stderr.

    ``files`` are the files that the source reads; they must hold at least one Peer.

    Raises:
        InvalidPeersError: a Peer is invalid, or the files hold none.
        ClusterError: the source cannot be read.
    """
    from kgctl.mesh.allocation import doubts
    from kgctl.state.objects import state_of
    from kgctl.state.peer_validation import peer_problems

    objects = source.read()
    note_unread(objects)
    if files:
        _require_peers(objects, files)
    wrong = [(name, problems) for name, problems in map(peer_problems, objects.peers) if problems]
    for name, problems in wrong:
        note(f"{_called(name)} is invalid: {'; '.join(problems)}")
    state, now = state_of(objects), time.time()
    for name, doubt in (*_of_objects(objects.peers), *doubts(state, service_cidrs, now=now)):
        note(f"{_called(name)}, warning: {doubt}")
    count = len(objects.peers)
    if wrong:
        raise InvalidPeersError(f"{len(wrong)} of {_peers(count)} invalid")
    answer(f"{_peers(count)} valid\n")


def _require_peers(objects: Objects, files: Sequence[str]) -> None:
    """Make sure that files hold Peers, and no objects that only look like Peers."""
    from kgctl.state.manifests import lookalikes

    if wrong := lookalikes(objects.passed_over):
        raise InvalidPeersError(f"not read as Peers: {'; '.join(wrong)}")
    if not objects.peers:
        there = [f"{count} {kind}" for kind, count in sorted(objects.passed_over.items())]
        there += [f"{len(objects.nodes)} v1/Node"] if objects.nodes else []
        raise InvalidPeersError(
            f"no Peer in {some([printable(one) for one in files], 5)}"
            f"{f', but {some(there, 5)}' if there else ''}: a Peer has apiVersion "
            f"{API_VERSION} and kind Peer"
        )


def _of_objects(peers: Peers) -> Iterator[tuple[str, str]]:
    """Yield warnings about objects that the parsed peers do not show."""
    from kgctl.state.peer_objects import peer_name
    from kgctl.state.peer_validation import peer_doubts

    for name, count in Counter(map(peer_name, peers)).items():
        if name and count > 1:
            yield name, f"{count} Peers have this name; the last one counts"
    for peer in peers:
        for doubt in peer_doubts(peer):
            yield peer_name(peer), doubt


def _called(name: str) -> str:
    return f"{KIND}/{printable(name, 300) or '(without a name)'}"


def _peers(count: int) -> str:
    return f"{count} peer" if count == 1 else f"{count} peers"
