"""Hypothetical changes of a cluster: the changed state, the difference, and side effects.

Agents cause the side effects: an agent keeps the endpoint and the internal IP that it once had in
force. It copies forced ones into the annotations ``endpoint`` and ``internal-ip`` at its next
check-in, within 30 s.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note
from kgctl.cli.core.source import NEWEST, reading_of, source_of
from kgctl.kilo import PREFIX
from kgctl.mesh.state import NoReadyNodesError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.cli.core.shared import Shared
    from kgctl.kube.objects import NodeObject
    from kgctl.mesh.difference import Difference
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects

    Changes = Mapping[str, str | None]


_SHOWN = 10  # lines; the rest is counted
_COPIES = {"force-endpoint": "endpoint", "force-internal-ip": "internal-ip"}
_NO_ADDRESS = ("", "-")


def note_effects(nodes: Iterable[NodeObject], changes: Changes) -> None:
    """Print on stderr the effects of removing forced values of nodes, and how to undo them."""
    lines = list(chain.from_iterable(_effects(node, changes) for node in nodes))
    for line in islice(lines, _SHOWN):
        note(line)
    if len(lines) > _SHOWN:
        note(f"and {len(lines) - _SHOWN} more nodes likewise")


def changes_later(nodes: Iterable[NodeObject], changes: Changes) -> bool:
    """Return whether the network changes in an unknown way once agents have checked in."""
    return any(_finds_address(node, changes) for node in nodes)


def _effects(node: NodeObject, changes: Changes) -> Iterator[str]:
    name = printable(node.name)
    for forced, copy in _COPIES.items():
        text = node.annotations.get(PREFIX + forced)
        if not _removed(changes, forced) or text is None:
            continue
        if _finds_address(node, changes) and copy == "internal-ip":
            yield (
                f"{name}: within 30 s its agent writes the internal IP that it finds, and then the "
                "network changes: the node joins its location; to undo it: "
                f"kgctl node set {name} --force-internal-ip -"
            )
        elif text == node.annotations.get(PREFIX + copy):
            yield (
                f"{name}: nothing changes: its agent has copied {printable(text, 80)} into the "
                f"annotation {copy}, which stays in force; to let it find its own value: "
                f"kubectl annotate node {name} {PREFIX}{copy}-, which takes the node off the "
                "network for up to 30 s, or restart Kilo's pod there"
            )


def _removed(changes: Changes, name: str) -> bool:
    return changes.get(PREFIX + name, "") is None


def _finds_address(node: NodeObject, changes: Changes) -> bool:
    """Return whether an agent that was forced to have no internal IP may find one again."""
    return (
        _removed(changes, "force-internal-ip")
        and node.annotations.get(PREFIX + "force-internal-ip") in _NO_ADDRESS
    )


def compared(shared: Shared, before: Objects, after: Objects, *, snapshots: bool) -> Difference:
    """Return the difference between the networks of two states, judged as in ``networks``.

    Raises:
        MeshError: as for ``networks``.
    """
    from kgctl.mesh.difference import difference

    return difference(*networks(shared, before, after, snapshots=snapshots))


def networks(
    shared: Shared, before: Objects, after: Objects, *, snapshots: bool
) -> tuple[Topology | None, Topology | None]:
    """Return the networks of two states; None for one in which no node is ready.

    Unless ``--at`` is given, each of ``snapshots`` is judged as of its newest heartbeat.

    Raises:
        MeshError: there is no network for another reason than that no node is ready.
    """
    if snapshots and shared.at is None:
        shared = shared._replace(at=NEWEST)
    return _network(shared, before), _network(shared, after)


def read_base(shared: Shared, base: Sequence[str] | None) -> Objects:
    """Read the present state of the cluster: from files, the example, or live."""
    return source_of(shared._replace(filename=list(base) if base else None)).read()


def read_files(names: Sequence[str]) -> Objects:
    """Read manifests."""
    from kgctl.state.manifests import Manifests

    return Manifests(names).read()


def changed(objects: Objects, settings: Sequence[str], absent: Sequence[str]) -> Objects:
    """Return the objects with ``node/NAME:KEY=VALUE`` set and ``node/NAME`` removed.

    Raises:
        UsageError: a text has another form.
        ClusterError: there is no such object, or Kilo would ignore the value.
    """
    from kgctl.edit.nodes import checked
    from kgctl.state.overlay import annotated, without

    for text in settings:
        place, colon, setting = text.partition(":")
        kind, name = _place("--set", text, place)
        key, equals, value = setting.partition("=")
        if kind != "node" or not colon or not (equals or key.endswith("-")):
            raise UsageError(
                f'--set "{printable(text)}" is not node/NAME:KEY=VALUE or node/NAME:KEY-'
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
        raise UsageError(f'{option} "{printable(whole)}" is not node/NAME or peer/NAME')
    return kind, name


def _network(shared: Shared, objects: Objects) -> Topology | None:
    try:
        return reading_of(shared, objects).topology()
    except NoReadyNodesError:
        note("no node is ready in one of the two states, so it has no network")
        return None
