"""The Peer objects that link clusters: those that there are to be, and what has to be changed."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kgctl.cluster.errors import ClusterError
from kgctl.cluster.peerobjects import peer_name
from kgctl.cluster.writing import spec_of
from kgctl.link.details import details
from kgctl.mesh.linking import Member, is_dialled
from kgctl.render.manifest import peer_object
from kgctl.wireguard.conf import PeerSection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PresharedKey
    from kgctl.mesh.sharing import Layout
    from kgctl.mesh.topology import Segment

Object = dict[str, Any]

MANAGER_LABEL, MANAGER = "app.kubernetes.io/managed-by", "kgctl-link"
SOURCE_LABEL = "kgctl.dev/linked-cluster"
"""The labels of a Peer that stands for a segment elsewhere: who made it, of which cluster."""

PEER, SECRET = "peer", "secret"
"""The kinds of objects that linking writes."""

ADD, CHANGE, REMOVE, STALE, SAME = "add", "change", "remove", "stale", "same"

_SLUG = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG = 40  # of 63 characters that a label may have, with room for a hash
_FIELDS = ("publicKey", "endpoint", "allowedIPs", "persistentKeepalive", "presharedKey")
_SHOWN = ("allowedIPs", "endpoint", "persistentKeepalive", "presharedKey")
"""What is told of a new Peer: its key says nothing to anyone."""


class ForeignPeerError(ClusterError):
    """A Peer that someone else made has the name that a link needs."""


class Store(Protocol):
    """Where the objects of one kind are written to."""

    def apply(self, wanted: Object, /) -> object:
        """Have the object be as it is wanted."""
        ...

    def delete(self, name: str, *, uid: str | None = None) -> None:
        """Delete an object, if it still is the one of ``uid``."""
        ...


class Step(NamedTuple):
    """What becomes of one object: ``fields`` are those of it that differ, ``details`` say how.

    No detail holds a secret.
    """

    action: str
    name: str
    wanted: Object | None = None
    fields: tuple[str, ...] = ()
    uid: str | None = None
    kind: str = PEER
    namespace: str = ""
    details: tuple[str, ...] = ()


def slug(text: str) -> str:
    """Return ``text`` as part of an object's name, and as the value of a label.

    Where something of it is lost a hash of the whole follows, so that no two become one, and
    none becomes nothing.
    """
    plain = _SLUG.sub("-", text.lower()).strip("-")[:_LONGEST_SLUG].rstrip("-")
    if plain and plain == text:
        return plain
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest


def link_name(source: str, segment: Segment) -> str:
    """Return the name of the Peer for a segment: the same for as long as it is that segment."""
    # with a dot, which no slug has: "a" and "b-c" must not have the name of "a-b" and "c"
    return f"link-{slug(source)}.{slug(segment.name.removeprefix('location:'))}"


def wanted_peers(
    source: Member,
    *,
    private_endpoints: bool = False,
    relayed: Iterable[Cidr] = (),
    preshared_key: PresharedKey | None = None,
) -> dict[str, Object]:
    """Return the Peers, by name, with which another cluster knows the segments of ``source``.

    What leads to the whole cluster, and what it relays for others, goes to its gateway. An
    endpoint that is no public one is left out, unless the clusters meet on ``private_endpoints``:
    nodes of the other cluster would dial it in vain, instead of waiting to be dialled.
    """
    through = (*source.share.of_cluster(source.service_cidrs), *relayed)
    wanted = {}
    for segment in source.topology.segments:
        endpoint = segment.leader.endpoint
        networks = (*source.share.of_segment(segment), *_only(segment is source.gateway, through))
        section = PeerSection(
            public_key=segment.key,
            allowed_ips=tuple(dict.fromkeys(networks)),
            endpoint=endpoint if private_endpoints or is_dialled(segment) else None,
            persistent_keepalive=max(0, segment.leader.persistent_keepalive),
            preshared_key=preshared_key,
        )
        name = link_name(source.name, segment)
        peer = peer_object(name, section)
        peer["metadata"]["labels"] = owner_labels(source.name)
        wanted[name] = peer
    return wanted


def _only(condition: bool, networks: tuple[Cidr, ...]) -> tuple[Cidr, ...]:
    return networks if condition else ()


def owner_labels(source: str) -> dict[str, str]:
    """Return the labels of an object that links to the cluster ``source``."""
    return {MANAGER_LABEL: MANAGER, SOURCE_LABEL: slug(source)}


def relayed_networks(
    hub: Member, target: str, members: Iterable[Member], layout: Layout
) -> tuple[Cidr, ...]:
    """Return the networks of other clusters that ``target`` reaches through ``hub``."""
    return tuple(
        network
        for member in members
        if layout.relays(hub.name, member.name, target)
        for network in member.shared()
    )


def linked_source(peer: Mapping[str, Any]) -> str | None:
    """Return the label's name of the cluster that an object links to; None if it is no link."""
    metadata = peer.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not isinstance(labels, dict) or labels.get(MANAGER_LABEL) != MANAGER:
        return None
    source = labels.get(SOURCE_LABEL)
    return source if isinstance(source, str) else None


def plan(
    present: Iterable[Mapping[str, Any]],
    wanted: Mapping[str, Object],
    sources: Iterable[str],
    *,
    prune: bool,
) -> list[Step]:
    """Return what makes the Peers of one cluster what is wanted, sorted by name.

    Only links to the ``sources`` are ever removed, and only to ``prune``.

    Raises:
        ForeignPeerError: a Peer that is no link has the name of one.
    """
    by_name = {peer_name(peer): peer for peer in present}
    steps = [_step(name, peer, by_name.get(name)) for name, peer in wanted.items()]
    ours = {slug(source) for source in sources}
    for name, peer in by_name.items():
        if linked_source(peer) in ours and name not in wanted:
            uid = peer["metadata"].get("uid")
            steps.append(Step(REMOVE if prune else STALE, name, uid=uid))
    return sorted(steps, key=lambda step: step.name)


def _step(name: str, wanted: Object, present: Mapping[str, Any] | None) -> Step:
    after: Mapping[str, Any] = wanted["spec"]
    if present is None:
        return Step(ADD, name, wanted, details=tuple(details(_SHOWN, {}, after)))
    if linked_source(present) is None:
        raise ForeignPeerError(
            f"the peer {name} is there, but kgctl link did not make it: rename or delete it first"
        )
    spec = spec_of(present)
    differs = tuple(one for one in _FIELDS if spec.get(one) != after.get(one))
    action = CHANGE if differs else SAME
    return Step(action, name, wanted, differs, details=tuple(details(differs, spec, after)))


def carry_out(step: Step, store: Store) -> None:
    """Make one step; to make it again changes nothing.

    Raises:
        kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
    """
    from kgctl.cluster.errors import NotFoundError, PeersNotServedError

    if step.action == REMOVE:
        try:
            store.delete(step.name, uid=step.uid)
        except PeersNotServedError:
            raise
        except NotFoundError:
            return  # which is what was wanted
    elif step.action in (ADD, CHANGE):
        assert step.wanted is not None
        store.apply(step.wanted)


def links_of(peers: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of those of the Peers that are links."""
    return frozenset(peer_name(peer) for peer in peers if linked_source(peer) is not None)
