"""Evidence for a diagnosis: everything it examines, read as far as the credentials allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.diagnosis.facts import Subject
from kgctl.errors import ForbiddenError, StatusError
from kgctl.kilo import GROUP, TOPOLOGY_LABEL, VERSION
from kgctl.state.interface import Objects, PeersNotServedError
from kgctl.state.objects import state_of
from kgctl.state.overlay import applied
from kgctl.state.peer_objects import peer_name, unknown_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.http.client import Api, Body
    from kgctl.state.api_server import ApiServer

_PASSED_OVER = (f"{GROUP}/", "/Peer")


class Evidence(NamedTuple):
    """The objects that were read, whether peers are served, and what could not be read.

    ``clock_ahead`` is the number of seconds that this machine's clock is ahead of the API server's.
    """

    objects: Objects
    peers_served: bool | None = None
    peer_versions: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    live: bool = False
    clock_ahead: float | None = None

    def over(self, lower: Evidence) -> Evidence:
        """Return ``lower`` after ``kubectl apply`` of these objects."""
        return Evidence(
            applied(lower.objects, self.objects),
            lower.peers_served if self.peers_served is None else self.peers_served,
            (*lower.peer_versions, *self.peer_versions),
            (*lower.unseen, *self.unseen),
            lower.live or self.live,
            lower.clock_ahead if self.clock_ahead is None else self.clock_ahead,
        )

    def subject(self, *, topology_label: str = TOPOLOGY_LABEL) -> Subject:
        """Parse the objects into the subject of a diagnosis."""
        objects = self.objects
        return Subject(
            state=state_of(objects, topology_label=topology_label),
            node_annotations={node.name: node.annotations for node in objects.nodes},
            peer_annotations={
                peer_name(peer): _texts(peer, "annotations") for peer in objects.peers
            },
            peers_served=self.peers_served,
            peer_versions=self.peer_versions,
            unseen=self.unseen,
            node_labels={node.name: node.labels for node in objects.nodes},
            peer_labels={peer_name(peer): _texts(peer, "labels") for peer in objects.peers},
            platforms={node.name: node.platform for node in objects.nodes if any(node.platform)},
            topology_label=topology_label,
            live=self.live,
            clock_ahead=self.clock_ahead,
            unknown_fields={
                peer_name(peer): found for peer in objects.peers if (found := unknown_fields(peer))
            },
        )


def evidence_of(objects: Objects) -> Evidence:
    """Return the evidence of objects from files; Peers of other API versions are recorded."""
    prefix, suffix = _PASSED_OVER
    versions = tuple(
        kind.removeprefix(prefix).removesuffix(suffix)
        for kind in sorted(objects.passed_over)
        if kind.startswith(prefix) and kind.endswith(suffix)
    )
    return Evidence(objects, peer_versions=versions)


def read_evidence(server: ApiServer) -> Evidence:
    """Read a live cluster as far as allowed: without the right to list peers, only its nodes.

    Raises:
        kgctl.ClusterError: the nodes cannot be read, or peers for another reason than rights.
    """
    return _read(server)._replace(clock_ahead=server.clock_ahead())


def _read(server: ApiServer) -> Evidence:
    from kgctl.state.api_server import list_peers

    api, nodes = server.api(), server.nodes(whole=True)
    try:
        return Evidence(Objects(nodes, list_peers(api), {}), peers_served=True, live=True)
    except PeersNotServedError:
        versions = _other_versions(api)
        return Evidence(Objects(nodes, [], {}), False, peer_versions=versions, live=True)
    except ForbiddenError:
        unseen = (
            "peers: these credentials may not list them (kgctl help rbac read prints a role that "
            "may)"
        )
        return Evidence(Objects(nodes, [], {}), unseen=(unseen,), live=True)


def _other_versions(api: Api) -> tuple[str, ...]:
    """Return the other versions of Kilo's API group, which any user may read; empty if none."""
    from kgctl.kube.lists import JSON  # with ssl, which files do not need

    try:
        return api.get(f"/apis/{GROUP}", {}, JSON, _group_versions)
    except StatusError:
        return ()


def _group_versions(body: Body) -> tuple[str, ...]:
    group: Any = body.json()
    versions = group.get("versions") if isinstance(group, dict) else None
    named = [one.get("version") for one in versions or () if isinstance(one, dict)]
    return tuple(name for name in named if isinstance(name, str) and name != VERSION)


def _texts(peer: Mapping[str, Any], field: str) -> Mapping[str, str]:
    metadata = peer.get("metadata")
    found = metadata.get(field) if isinstance(metadata, dict) else None
    if not isinstance(found, dict):
        return {}
    return {
        key: text for key, text in found.items() if isinstance(key, str) and isinstance(text, str)
    }
