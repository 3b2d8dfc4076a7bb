"""Content of the page of a cluster: picture, findings, annotations and configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.source import listen_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kgctl.cli.commands.evidence import Examined
    from kgctl.cli.core.shared import Shared
    from kgctl.diagnosis.facts import Subject
    from kgctl.mesh.state import Viewpoints
    from kgctl.mesh.topology import Topology
    from kgctl.render.graph.picture import End
    from kgctl.render.page.content import Shown

_CONFIGURATIONS_LIMIT = 4 << 20
"""Most characters of configurations in one page; n leaders have n times n sections."""


def read_page(shared: Shared) -> Shown:
    """Read the cluster that the options name, and return the content of its page.

    Raises:
        UsageError: an option is wrong.
        KgctlError: the cluster cannot be read, or has no network.
    """
    from kgctl.cli.commands.evidence import examined

    return page_of(examined(shared, live=False), listen_port(shared))


def page_of(seen: Examined, port: int, present: float | None = None) -> Shown:
    """Return the content of a cluster's page; nodes listen on the UDP ``port``.

    Ages are counted to ``present``, in Unix seconds; it defaults to ``seen.now``.

    Raises:
        MeshError: there is no network; the message has the reason.
    """
    from kgctl.diagnosis.facts import Settings
    from kgctl.diagnosis.report import examine
    from kgctl.mesh.state import viewpoints_of
    from kgctl.render.graph.picture import picture_of
    from kgctl.render.page.content import Shown

    state = seen.subject.state
    views = viewpoints_of(state, now=seen.now, granularity=seen.granularity, acting_leaders=True)
    topology = views.from_node()
    configurations = _within_limit(_configurations(topology, views, port))
    return Shown(
        picture_of(state, topology, seen.now, present=present),
        seen.now,
        examine(seen.subject, Settings(seen.now, seen.granularity)).findings,
        _annotations(seen.subject),
        configurations,
    )


def _annotations(subject: Subject) -> dict[End, dict[str, str]]:
    """Return only Kilo's annotations: others may hold anything, and do not matter here."""
    from kgctl.kilo import PREFIX

    kinds = {"node": subject.node_annotations, "peer": subject.peer_annotations}
    return {
        (kind, name): {key: text for key, text in texts.items() if key.startswith(PREFIX)}
        for kind, objects in kinds.items()
        for name, texts in objects.items()
    }


def _configurations(topology: Topology, views: Viewpoints, port: int) -> Iterator[tuple[End, str]]:
    from kgctl.wireguard.conf import node_configuration, peer_configuration

    for segment in topology.segments:
        seen = _without_secrets(views.from_node(segment.leader.name))
        configuration = node_configuration(seen, segment.leader, listen_port=port)
        yield ("node", segment.leader.name), str(configuration)
    seen = _without_secrets(topology)
    for peer in seen.peers:
        yield ("peer", peer.name), str(peer_configuration(seen, peer))


def _without_secrets(topology: Topology) -> Topology:
    return topology._replace(
        peers=tuple(peer._replace(preshared_key=None) for peer in topology.peers)
    )


def _within_limit(texts: Iterator[tuple[End, str]]) -> Mapping[End, str]:
    kept: dict[End, str] = {}
    size = 0
    for end, text in texts:
        size += len(text)
        if size > _CONFIGURATIONS_LIMIT:
            break
        kept[end] = text
    return kept
