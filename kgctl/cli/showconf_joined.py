"""``kgctl showconf peer NAME`` of several clusters: one file that joins all of them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from kgctl.cli.clusters import linked_clusters, networks_of_clusters, read_several, said_of
from kgctl.cli.core.arguments import UsageError, split_values
from kgctl.cli.hints import message
from kgctl.cli.limits import Warned
from kgctl.cli.names import ready_peer
from kgctl.mesh.text import printable
from kgctl.wireguard.formats import WIREGUARD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kgctl.cli.core.shared import Shared
    from kgctl.cli.quick import QuickOptions
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.linked import Linked
    from kgctl.mesh.linking import Member
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits
    from kgctl.wireguard.formats import MachineFormat
    from kgctl.wireguard.quick import QuickSettings
    from kgctl.wireguard.quickjoined import JoinedFile, Joining


def show_joined(
    shared: Shared,
    name: str,
    options: QuickOptions,
    output: tuple[MachineFormat, str, Path | None, Path | None],
) -> None:
    """Print or write the file; ``output``: format, interface, file of a picture, directory.

    Raises:
        UsageError: an option is wrong, or names what is in no cluster or in more than one.
        UnknownNameError: the peer is missing in a cluster; the message says in which.
        JoinError: the clusters do not go into one file.
    """
    from kgctl.cli.showconf_files import Outside

    format_, interface, picture, directory = output
    own = options._replace(service_cidr=None, via=None, gateway=None, only=None).settings()
    clusters = read_several(shared)
    names = [text for one in clusters for text in ("--cluster", one.name)]
    own = own._replace(made_with=printable(shlex.join(names), 2000))
    linked = linked_clusters(clusters, as_reference=format_ is WIREGUARD)
    peers = {}
    for one, member in zip(clusters, linked.members, strict=True):
        with said_of(one.name):
            one.reading.require_ready_nodes()
            ready_peer(one.reading, name)
        found = member.topology.peer(name)
        assert found is not None  # a ready peer is in the topology
        peers[one.name] = found
    outside = Outside(format_, own, interface, picture, Warned())

    def join(settings: QuickSettings) -> JoinedFile:
        return _joined(linked, peers, options, settings, plain=format_ is WIREGUARD)

    outside.run_joined(name, directory, join)


def _joined(
    linked: Linked,
    peers: dict[str, Peer],
    options: QuickOptions,
    settings: QuickSettings,
    *,
    plain: bool,
) -> JoinedFile:
    from kgctl.wireguard.quick import UnknownPlaceError
    from kgctl.wireguard.quickjoined import Joining, joined_file, joined_sections

    wanted = _settings(linked.members, options, settings)
    joinings: list[Joining] = [
        Joining(cluster, peer, wanted[cluster]) for cluster, peer in peers.items()
    ]
    try:
        if plain:
            return joined_sections(linked, joinings)
        return joined_file(linked, joinings, settings)
    except UnknownPlaceError as error:
        raise UsageError(message(error)) from None


def _settings(
    members: Sequence[Member], options: QuickOptions, settings: QuickSettings
) -> dict[str, QuickSettings | None]:
    """Return what is asked of each cluster; None where ``--only`` names nothing of it."""
    names = [member.name for member in members]
    services = networks_of_clusters(options.service_cidr, names)
    via = _place("--via", options.via, members)
    gateway = _place("--gateway", options.gateway, members)
    only: dict[str, list[str]] = {}
    for name in split_values(options.only):
        for cluster, place in _places("--only", name, members):
            only.setdefault(cluster, []).append(place)
    found: dict[str, QuickSettings | None] = {}
    for member in members:
        own = settings._replace(
            service_cidrs=services.get(member.name, ()),
            via=via.get(member.name),
            gateway=gateway.get(member.name),
            only=tuple(only.get(member.name, ())),
            limits=_limits(settings.limits, member.name, names),
        )
        carries = own.only or own.via or own.gateway
        if only and not carries and own.service_cidrs:
            raise UsageError(
                f"--only leaves nothing of {printable(member.name)} that could carry its services: "
                "name a node or location of it as well"
            )
        found[member.name] = own if carries or not only else None
    return found


def _limits(limits: Limits, cluster: str, clusters: Sequence[str]) -> Limits:
    """Return the limits of one cluster: consent to ``CLUSTER/NAME`` is for that one alone."""
    accept: dict[str, tuple[Cidr, ...]] = {}
    for text, networks in limits.accept.items():
        of, slash, name = text.partition("/")
        if slash and of in clusters:
            if of != cluster:
                continue
        else:
            name = text
        accept[name] = (*accept.get(name, ()), *networks)
    return limits._replace(accept=accept)


def _place(option: str, text: str | None, members: Sequence[Member]) -> dict[str, str]:
    """Return the node that an option names, by its cluster: it is in one alone."""
    if text is None:
        return {}
    found = _places(option, text, members)
    if len(found) > 1:
        names = " and ".join(f"{printable(cluster)}/{printable(one)}" for cluster, one in found)
        raise UsageError(f"{option} {printable(text)} may mean {names}: give one of them")
    return dict(found)


def _places(option: str, text: str, members: Sequence[Member]) -> list[tuple[str, str]]:
    """Return the clusters in which a node, location or peer is, ``CLUSTER/NAME`` in that one."""
    found = []
    for member in members:
        own = text.removeprefix(f"{member.name}/")
        topology = member.topology
        known = {name for one in topology.segments for node in one.nodes
                 for name in (node.name, node.location)}  # fmt: skip
        known |= {peer.name for peer in topology.peers}
        if own in known:
            found.append((member.name, own))
    if not found:
        raise UsageError(f'{option} "{printable(text)}" is in no segment of any of the clusters')
    return found
