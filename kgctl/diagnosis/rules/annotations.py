"""KG1xx: annotations and labels of nodes and peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.facts import CROSS, granularity_of
from kgctl.diagnosis.finding import ERROR, INFO, NODE, PEER, WARNING, Found, Rule
from kgctl.diagnosis.reasons import (
    KNOWN,
    OF_OTHERS,
    WRITTEN_BY_AGENTS,
    WRITTEN_BY_PEOPLE,
    meant_by,
    value_for,
    why_unreadable,
)
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.kilo import PREFIX
from kgctl.mesh.peer import KEEPALIVES
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.node import Node

_SHOWN = 60  # characters of a value
_NAMES_KEPT = 1024
_TOLD_ELSEWHERE = {"key", "last-seen", "podCIDR"}  # KG002, KG004, KG003


def _unreadable(facts: Facts) -> Iterator[Found]:
    yield from _numbers_as_names(facts)
    for node in facts.state.nodes:
        for name, text in sorted(node.unreadable.items()):
            if name in _TOLD_ELSEWHERE or _blank_at_fault(name, text):
                continue
            if name == "persistent-keepalive" and node.excessive_keepalive is not None:  # KG109
                continue
            if name == "granularity" and text == CROSS:
                continue
            whole = facts.subject.node_annotations.get(node.name, {}).get(PREFIX + name, text)
            again = "; Kilo's agent writes it again" if name in WRITTEN_BY_AGENTS else ""
            yield Found(
                NODE,
                node.name,
                f'annotation {PREFIX}{name}: "{printable(text, _SHOWN)}" does not parse: '
                f"{why_unreadable(name, whole)}",
                "Kilo treats it as absent",
                f"correct it, or remove it: kubectl annotate node {quoted(node.name)} "
                f"{PREFIX}{name}-{again}",
            )


def _numbers_as_names(facts: Facts) -> Iterator[Found]:
    """Yield endpoints with a misspelt address, which parses as a DNS name that cannot exist."""
    for node in facts.state.nodes:
        host = None if node.endpoint is None else node.endpoint.host
        if not isinstance(host, str) or not host.replace(".", "").isdigit():
            continue
        texts = facts.subject.node_annotations.get(node.name, {})
        forced = f"{PREFIX}force-endpoint"
        name = forced if forced in texts else f"{PREFIX}endpoint"
        yield Found(
            NODE,
            node.name,
            f'annotation {name}: "{printable(host, _SHOWN)}" is not an IP address; Kilo takes it '
            "for a DNS name",
            "no DNS name ends in a number: it never resolves, so no agent applies any change",
            f"correct it: kubectl annotate node {quoted(node.name)} --overwrite "
            f"{forced}=ADDRESS:{node.endpoint.port if node.endpoint else ''}",
        )


def _blank_at_fault(name: str, text: str) -> bool:
    """Return whether white space may be the reason why a text does not parse."""
    parts = text.split(",") if name == "allowed-location-ips" else [text]
    return any(part != part.strip() for part in parts)


def _blanks(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        for name, text in sorted(node.unreadable.items()):
            if name not in _TOLD_ELSEWHERE and _blank_at_fault(name, text):
                yield Found(
                    NODE,
                    node.name,
                    f'annotation {PREFIX}{name}: "{printable(text, _SHOWN)}" has white space in it',
                    "Kilo does not trim it: it treats the value as absent",
                    "write it without white space: kubectl annotate node "
                    f"{quoted(node.name)} --overwrite {PREFIX}{name}=VALUE",
                )
        if node.location != node.location.strip():
            yield Found(
                NODE,
                node.name,
                f'the location "{printable(node.location, _SHOWN)}" has white space around it',
                "to Kilo it is another location than the one without, with a leader of its own",
                f"kubectl annotate node {quoted(node.name)} --overwrite "
                f"{PREFIX}location={quoted(node.location.strip())}",
            )


def _unknown(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        texts = facts.subject.node_annotations.get(node.name, {})
        for key in sorted(texts):
            name = key.removeprefix(PREFIX)
            if name != key and name not in KNOWN and name not in OF_OTHERS:
                meant = meant_by(name)
                hint = f": {meant.reason}" if meant else ""
                yield Found(
                    NODE,
                    node.name,
                    f"Kilo does not know annotation {printable(key, 100)}{hint}",
                    "Kilo does not read it: what it was meant to set is not set",
                    _instead(node.name, key, texts[key], meant.name if meant else "", texts),
                )


def _instead(node: str, key: str, text: str, meant: str, texts: Mapping[str, str]) -> str:
    """Return the command that removes an annotation, and writes the one that was ``meant``."""
    command = f"kubectl annotate node {quoted(node)}"
    if not meant:
        return f"remove it, if no other program reads it: {command} {quoted(key)}-"
    if PREFIX + meant in texts:
        return f"{PREFIX}{meant} is set; remove this one: {command} {quoted(key)}-"
    value = value_for(meant, text)
    written = "VALUE" if value is None else quoted(value)
    return f"rename it: {command} {PREFIX}{meant}={written} {quoted(key)}-"


def _granularity_missing(facts: Facts) -> Iterator[Found]:
    for node in facts.ready_nodes:
        if not granularity_of(node) and "granularity" not in node.unreadable:
            yield Found(
                NODE,
                node.name,
                "there is no granularity annotation",
                "kgctl cannot distinguish location from full by this node",
                "restart Kilo's pod on the node, which writes it; or give --mesh-granularity",
            )


def _granularity_differs(facts: Facts) -> Iterator[Found]:
    first: Node | None = None
    for node in facts.ready_nodes:
        own = granularity_of(node)
        first = first or (node if own else None)
        if first and own and own != granularity_of(first):
            yield Found(
                NODE,
                node.name,
                f"its granularity is {own}, that of node {printable(first.name)} "
                f"is {granularity_of(first)}",
                "agents that disagree build different networks, and links between them fail",
                "run every agent with the same --mesh-granularity, and restart those that differ",
            )


def _leader_value(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        text = facts.subject.node_annotations.get(node.name, {}).get(PREFIX + "leader", "")
        if text.strip().lower() in ("false", "no", "0", "off"):
            yield Found(
                NODE,
                node.name,
                f'the leader annotation is "{printable(text, _SHOWN)}", but its presence counts',
                "the node has the leader flag, regardless of the value",
                f"kubectl annotate node {quoted(node.name)} {PREFIX}leader-",
            )


def _as_labels(facts: Facts) -> Iterator[Found]:
    """Yield labels with the name of a Kilo annotation, unless their value is the same, or used."""
    for node in facts.state.nodes:
        labels = facts.subject.node_labels.get(node.name, {})
        texts = facts.subject.node_annotations.get(node.name, {})
        for key in sorted(labels):
            name = key.removeprefix(PREFIX)
            meant = name if name in WRITTEN_BY_PEOPLE else _meant_label(name)
            if name == key or not meant or key in (*facts.labels_of_agents, *OF_OTHERS):
                continue
            if texts.get(PREFIX + meant) == labels[key]:
                continue
            command = f"kubectl annotate node {quoted(node.name)} --overwrite"
            yield Found(
                NODE,
                node.name,
                f'{printable(key, 100)} is a label, "{printable(labels[key], _SHOWN)}"; Kilo reads '
                f"an annotation {PREFIX}{meant}{_other_than(texts.get(PREFIX + meant))}",
                "Kilo does not read the label: what it was meant to set is not set",
                f"{command} {PREFIX}{meant}={quoted(labels[key])} && "
                f"kubectl label node {quoted(node.name)} {quoted(key)}-",
            )


def _meant_label(name: str) -> str:
    meant = None if name in KNOWN else meant_by(name)
    return meant.name if meant else ""


def _other_than(text: str | None) -> str:
    return "" if text is None else f', which is "{printable(text, _SHOWN)}"'


def _on_peers(facts: Facts) -> Iterator[Found]:
    """Yield Kilo's annotations and labels on Peers, of which Kilo reads only the spec."""
    subject = facts.subject
    for kind, verb, everything in (
        ("annotation", "annotate", subject.peer_annotations),
        ("label", "label", subject.peer_labels),
    ):
        for peer in sorted(everything):
            for key in sorted(everything[peer]):
                name = key.removeprefix(PREFIX)
                if name == key or name not in KNOWN:
                    continue
                if name == "kgctl-ignore" and kind == "annotation":
                    continue
                yield Found(
                    PEER,
                    peer,
                    f"{PREFIX}{name} is {'an' if kind[0] == 'a' else 'a'} {kind} of a Peer",
                    f"Kilo reads only the spec of a Peer: {_ON_PEERS.get(name, _OF_NODES)}",
                    f"kubectl {verb} peers.kilo.squat.ai {quoted(peer)} {PREFIX}{name}-",
                )


_OF_NODES = "this is for nodes"
_ON_PEERS = {
    "persistent-keepalive": "the keepalive is spec.persistentKeepalive",
    "force-endpoint": "the endpoint is spec.endpoint",
    "endpoint": "the endpoint is spec.endpoint",
    "key": "the key is spec.publicKey",
    "allowed-location-ips": "the networks behind a peer are in spec.allowedIPs",
    "kgctl-ignore": "kgctl reads it as an annotation",
}


def _keepalives(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        if node.excessive_keepalive is not None:
            yield Found(
                NODE,
                node.name,
                f"its persistent-keepalive of {node.excessive_keepalive} s is out of "
                f"WireGuard's range, 0 to {KEEPALIVES[-1]}",
                "the kernel uses its last 16 bits; userspace WireGuard refuses it, and accepts no "
                "peer after the first; kgctl takes it as absent",
                f"kubectl annotate node {quoted(node.name)} --overwrite "
                f"{PREFIX}persistent-keepalive=25",
            )
    for peer in facts.state.invalid_peers:
        if peer.only_kilo_accepts_it:
            yield Found(
                PEER,
                peer.name,
                f"invalid: {', '.join(peer.problems)}",
                "Kilo's agents let it in, but no WireGuard can be set up by it: kgctl takes it as "
                "invalid, and leaves it out of every configuration",
                f"kgctl peer set {quoted(peer.name)} --persistent-keepalive 25",
            )


RULES = (
    Rule("KG101", "annotation-unreadable", WARNING, "An annotation does not parse.", _unreadable),
    Rule("KG102", "annotation-white-space", WARNING, "White space makes an annotation invalid.",
         _blanks),
    Rule("KG103", "annotation-unknown", WARNING, "Kilo does not know an annotation.", _unknown),
    Rule("KG104", "granularity-missing", INFO, "A ready node names no granularity.",
         _granularity_missing),
    Rule("KG105", "granularity-differs", ERROR, "Nodes name different granularities.",
         _granularity_differs),
    Rule("KG106", "leader-value", WARNING, "A leader flag was meant to be off, and is on.",
         _leader_value),
    Rule("KG107", "annotation-as-label", WARNING, "A label has the name of a Kilo annotation.",
         _as_labels),
    Rule("KG108", "annotation-of-a-peer", WARNING, "A Peer has an annotation or a label for nodes.",
         _on_peers),
    Rule("KG109", "keepalive-out-of-range", ERROR, "A keepalive is out of WireGuard's range.",
         _keepalives),
)  # fmt: skip
