"""Two states of a cluster, as it is and as it would be, and what differs between their networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note
from kgctl.cli.node_effects import note_effects
from kgctl.cli.reading import NEWEST, reading_of, source_of
from kgctl.mesh.state import NoReadyNodesError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.cli.core.shared import Shared
    from kgctl.mesh.difference import Difference
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects


def compared(shared: Shared, before: Objects, after: Objects, *, snapshots: bool) -> Difference:
    """Return what differs between the networks of two states, judged as ``networks`` does.

    Raises:
        MeshError: as for ``networks``.
    """
    from kgctl.mesh.difference import difference

    return difference(*networks(shared, before, after, snapshots=snapshots))


def networks(
    shared: Shared, before: Objects, after: Objects, *, snapshots: bool
) -> tuple[Topology | None, Topology | None]:
    """Return the networks of two states; None for one in which no node is ready.

    Heartbeats of ``snapshots`` are judged as of the newest one, each by its own, unless --at says
    otherwise.

    Raises:
        MeshError: one of them is no network, for another reason than that no node is ready.
    """
    if snapshots and shared.at is None:
        shared = shared._replace(at=NEWEST)
    return _network(shared, before), _network(shared, after)


def read_base(shared: Shared, base: Sequence[str] | None) -> Objects:
    """Read the cluster as it is: from files, the example, or live."""
    return source_of(shared._replace(filename=list(base) if base else None)).read()


def read_files(names: Sequence[str]) -> Objects:
    """Read manifests."""
    from kgctl.state.manifests import Manifests

    return Manifests(names).read()


def changed(objects: Objects, settings: Sequence[str], absent: Sequence[str]) -> Objects:
    """Return the objects with ``node/NAME:KEY=VALUE`` set and ``node/NAME`` taken out.

    Raises:
        UsageError: one of the texts is of another form.
        ClusterError: there is no such object, or Kilo would ignore the value.
    """
    from kgctl.edit.annotations import checked
    from kgctl.state.overlay import annotated, without

    for text in settings:
        place, colon, setting = text.partition(":")
        kind, name = _place("--set", text, place)
        key, equals, value = setting.partition("=")
        if kind != "node" or not colon or not (equals or key.endswith("-")):
            raise UsageError(
                f'--set "{printable(text)}" is not node/NAME:KEY=VALUE, nor node/NAME:KEY-'
            )
        change = checked(key, value) if equals else checked(key[:-1], None)
        note_effects([node for node in objects.nodes if node.name == name], dict([change]))
        objects = annotated(objects, [name], dict([change]))
    for text in absent:
        objects = without(objects, *_place("--without", text, text))
    return objects


def _place(option: str, whole: str, text: str) -> tuple[str, str]:
    kind, _, name = text.partition("/")
    if kind not in ("node", "peer") or not name:
        raise UsageError(f'{option} "{printable(whole)}" does not name a node/NAME or a peer/NAME')
    return kind, name


def _network(shared: Shared, objects: Objects) -> Topology | None:
    try:
        return reading_of(shared, objects).topology()
    except NoReadyNodesError:
        note("in one of the two states no node is ready, so there is no network")
        return None
