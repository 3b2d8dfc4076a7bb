"""Peer objects that link clusters: the wanted ones, and the steps from the present ones to them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kgctl.edit.peer_writes import spec_of
from kgctl.errors import ClusterError
from kgctl.link.steps import ADD, CHANGE, REMOVE, SAME, STALE, Step
from kgctl.mesh.link_rules import Member, is_written
from kgctl.mesh.peer import NAT_KEEPALIVE
from kgctl.mesh.text import some
from kgctl.render.manifest import peer_object
from kgctl.state.peer_objects import peer_name, shown_value
from kgctl.wireguard.conf import PeerSection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from kgctl.kube.stored import Object
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PresharedKey
    from kgctl.mesh.link_rules import Layout
    from kgctl.mesh.links import Labels
    from kgctl.mesh.topology import Segment

MANAGER_LABEL, MANAGER = "app.kubernetes.io/managed-by", "kgctl-link"
SOURCE_LABEL = "kgctl.dev/linked-cluster"
"""The labels of a Peer for a segment elsewhere: its manager, and the segment's cluster."""

REPLACED_ANNOTATION = "kgctl.dev/replaced"
"""On a Peer, the name of a removed Peer with the same key that it replaces."""

_SLUG = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG = 40  # of the 63 characters of a label's value, with room for a hash
_MOST_SHOWN = 12  # networks to name; the rest is counted
_LONGEST_NAME = 253  # characters of a DNS name
_FIELDS = ("publicKey", "endpoint", "allowedIPs", "persistentKeepalive", "presharedKey")
_SHOWN = ("allowedIPs", "endpoint", "persistentKeepalive", "presharedKey")
"""The fields to show of a new Peer. Its key would help no reader."""


Narrowed = Callable[[Mapping[str, Any]], Sequence[str]]
"""Returns the networks that a Peer object keeps, in its own spelling where they stay whole."""


class ForeignPeerError(ClusterError):
    """A Peer that kgctl link did not make has the name of a link."""


def slug(text: str) -> str:
    """Return ``text`` as a part of an object's name, valid as a label's value too.

    If the conversion loses anything, a hash of the whole text follows, so that no two texts have
    the same slug, and none has an empty one.
    """
    plain = _SLUG.sub("-", text.lower()).strip("-")[:_LONGEST_SLUG].rstrip("-")
    if plain and plain == text:
        return plain
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest


def link_prefix(source: str) -> str:
    """Return the prefix of the names of all links to a cluster."""
    return f"link-{slug(source)}."


def link_name(source: str, segment: Segment) -> str:
    """Return the name of the Peer for a segment, which depends on the names of both only."""
    # joined by a dot, which no slug has: "a" and "b-c" must differ from "a-b" and "c"
    return f"{link_prefix(source)}{slug(segment.name.removeprefix('location:'))}"


def wanted_peers(
    source: Member,
    *,
    private_endpoints: bool = False,
    relayed: Iterable[Cidr] = (),
    preshared_key: PresharedKey | None = None,
) -> dict[str, Object]:
    """Return the Peers, by name, that stand for the segments of ``source`` in another cluster.

    The networks of the whole cluster, and those that it relays for others, go to its gateway. An
    endpoint that is not public is left out, unless the clusters share a private network
    (``private_endpoints``): nodes of the other cluster would dial it in vain instead of waiting to
    be dialled. A Peer without an endpoint gets a keepalive, since agents accept no handshake
    from one that has neither. Segments that are left out, or of which nothing is granted, have no
    Peer.
    """
    through = (*source.share.of_cluster(source.service_cidrs), *relayed)
    wanted = {}
    for segment in source.topology.segments:
        if source.leaves_out(segment):
            continue
        called = is_written(segment.leader.endpoint, private=private_endpoints)
        endpoint = segment.leader.endpoint if called else None
        keepalive = segment.leader.persistent_keepalive
        networks = (*source.networks_of(segment), *_only(segment is source.gateway, through))
        if not networks:
            continue
        section = PeerSection(
            public_key=segment.key,
            allowed_ips=tuple(dict.fromkeys(cidr.masked() for cidr in networks)),
            endpoint=endpoint,
            persistent_keepalive=keepalive if endpoint else keepalive or NAT_KEEPALIVE,
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
    """Return the labels of an object that stands for one of the cluster ``source``."""
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
    """Return the slug of the cluster that an object links to; None if it is not kgctl link's."""
    metadata = peer.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not isinstance(labels, dict) or labels.get(MANAGER_LABEL) != MANAGER:
        return None
    source = labels.get(SOURCE_LABEL)
    return source if isinstance(source, str) else None


def link_labels(peers: Mapping[str, Sequence[Mapping[str, Any]]]) -> Labels:
    """Return the cluster that each Peer links to, by its labels.

    That is the name of a given cluster, or else the label's value. Peers without the labels are
    left out.
    """
    names = {slug(cluster): cluster for cluster in peers}
    found = {}
    for cluster, objects in peers.items():
        for peer in objects:
            source = linked_source(peer)
            if source is not None:
                found[cluster, peer_name(peer)] = names.get(source, source)
    return found


def peer_steps(
    present: Iterable[Mapping[str, Any]],
    wanted: Mapping[str, Object],
    sources: Iterable[str],
    *,
    prune: bool,
    taken: Collection[str] = (),
    frozen: Collection[str] = (),
    narrowed: Narrowed | None = None,
) -> list[Step]:
    """Return the steps from the present to the wanted Peers of one cluster, sorted by name.

    Only links to the ``sources`` and Peers that are ``taken`` over are removed, only to ``prune``,
    and ``frozen`` ones only if a wanted Peer has their key. ``narrowed`` returns the networks that
    a staying Peer keeps; a Peer that keeps none is removed.

    Raises:
        ForeignPeerError: a Peer that kgctl link did not make has the name of a link.
    """
    by_name = {peer_name(peer): peer for peer in present}
    steps = [_step(name, peer, by_name.get(name), taken) for name, peer in wanted.items()]
    ours = {slug(source) for source in sources}
    heirs = {peer["spec"]["publicKey"]: name for name, peer in wanted.items()}
    for name, peer in by_name.items():
        if (linked_source(peer) in ours or name in taken) and name not in wanted:
            heir = heirs.get(spec_of(peer).get("publicKey"), "")
            staying = name in frozen or not prune
            if narrowed is not None and staying and not heir:
                steps.append(_staying(name, peer, narrowed(peer), is_frozen=name in frozen))
                continue
            uid = peer["metadata"].get("uid")
            patch = _voiding(wanted[heir], uid) if heir else None
            action = REMOVE if prune else STALE
            steps.append(Step(action, name, uid=uid, patch=patch, heir=heir))
    return sorted(steps, key=lambda step: step.name)


def _staying(
    name: str, peer: Mapping[str, Any], networks: Sequence[str], *, is_frozen: bool
) -> Step:
    """Return the step for a Peer that is not wanted and stays, with these ``networks``."""
    spec, metadata = spec_of(peer), peer["metadata"]
    if not networks:
        return Step(REMOVE, name, uid=metadata.get("uid"))
    if list(networks) == spec.get("allowedIPs"):
        return Step(SAME if is_frozen else STALE, name, uid=metadata.get("uid"))
    fields = ("allowedIPs",)
    said = tuple(details(fields, spec, {"allowedIPs": list(networks)}))
    patch: Object = {"metadata": {}, "spec": {"allowedIPs": list(networks)}}
    if metadata.get("resourceVersion") is not None:
        patch["metadata"]["resourceVersion"] = metadata["resourceVersion"]
    return Step(CHANGE, name, {**peer}, fields, details=said, patch=patch)


def _step(
    name: str, wanted: Object, present: Mapping[str, Any] | None, taken: Collection[str]
) -> Step:
    after: Mapping[str, Any] = wanted["spec"]
    if present is None:
        return Step(ADD, name, wanted, details=tuple(details(_SHOWN, {}, after)))
    if linked_source(present) is None and name not in taken:
        raise ForeignPeerError(
            f"the peer {name} exists, but kgctl link did not make it: rename or delete it first"
        )
    spec = spec_of(present)
    differs = tuple(one for one in _FIELDS if (spec.get(one) or None) != (after.get(one) or None))
    said = tuple(details(differs, spec, after))
    if name in taken:
        differs = ("labels", *differs)
        said = (f"labels: a link to {wanted['metadata']['labels'][SOURCE_LABEL]}", *said)
    action = CHANGE if differs else SAME
    step = Step(action, name, wanted, differs, details=said)
    in_place = bool(wanted["metadata"].get("annotations"))
    # applying a Peer without the endpoint it had leaves {dnsOrIP: null}, which is invalid
    less = any(spec.get(one) and not after.get(one) for one in differs)
    return step._replace(patch=_patch(wanted, present)) if in_place or less else step


def _patch(wanted: Object, present: Mapping[str, Any]) -> Object:
    """Return the merge patch from a Peer to the wanted one, with null for fields to remove.

    An apply is not enough: fields that others set, such as an endpoint's DNS name, would stay.
    """
    metadata, spec = wanted["metadata"], wanted["spec"]
    cleared = {field: None for field in _FIELDS if field in spec_of(present)}
    version = present["metadata"].get("resourceVersion")
    patch = {
        "metadata": {key: metadata[key] for key in ("labels", "annotations") if key in metadata},
        "spec": {**cleared, **spec},
    }
    if "endpoint" in spec:
        target = {"dns": None, "ip": None, **spec["endpoint"]["dnsOrIP"]}
        patch["spec"]["endpoint"] = {**spec["endpoint"], "dnsOrIP": target}
    if version is not None:
        patch["metadata"]["resourceVersion"] = version
    return patch


def _voiding(heir: Object, uid: str | None) -> Object:
    """Return the patch that makes a Peer invalid and labels it, so that a later run removes it."""
    metadata = {"labels": heir["metadata"]["labels"]} | ({"uid": uid} if uid else {})
    return {"metadata": metadata, "spec": {"allowedIPs": ["removed"]}}


def links_of(peers: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the Peers that are links."""
    return frozenset(peer_name(peer) for peer in peers if linked_source(peer) is not None)


def details(
    fields: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a line for each of the ``fields`` of a Peer's spec that either side has.

    The values before are untrusted and are escaped. Preshared keys are not shown.
    """
    for field in fields:
        old, new = before.get(field), after.get(field)
        if field == "presharedKey":
            if old or new:
                yield f"{field}: {_of_secret(old, new)}"
        elif field == "allowedIPs" and isinstance(old, list):
            yield f"{field}: {_of_list(old, new or [])}"
        elif old is not None:
            yield f"{field}: {_text(old)} -> {_text(new)}"
        elif new is not None:
            yield f"{field}: {_text(new)}"


def _of_secret(old: object, new: object) -> str:
    if not new:
        return "removed"
    return "another one" if old else "set"


def _of_list(old: list[object], new: list[object]) -> str:
    """Return the removed and added entries; only the order may differ."""
    before, after = ({shown_value(one): None for one in entries} for entries in (old, new))
    signed = [f"-{one}" for one in before if one not in after]
    signed += [f"+{one}" for one in after if one not in before]
    return some(signed, _MOST_SHOWN) if signed else "in another order"


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return some(list(map(shown_value, value)), _MOST_SHOWN) or "none"
    target = value.get("dnsOrIP") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(target, dict):
        host = shown_value(target.get("dns") or target.get("ip"), _LONGEST_NAME)
        return f"{f'[{host}]' if ':' in host else host}:{shown_value(value.get('port'))}"
    return shown_value(value)
