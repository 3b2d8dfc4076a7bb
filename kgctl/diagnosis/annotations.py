"""KG1xx: what people and agents wrote on the nodes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from kgctl.diagnosis.facts import CROSS, granularity_of
from kgctl.diagnosis.finding import ERROR, INFO, NODE, WARNING, Found, Rule
from kgctl.diagnosis.nodes import quoted
from kgctl.diagnosis.subject import PREFIX
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.node import Node

_SHOWN = 60  # characters of a value
_NAMES_KEPT = 1024
_TOLD_ELSEWHERE = {"key", "last-seen", "podCIDR"}  # KG002, KG004, KG003
_KNOWN = frozenset(
    (
        *("allowed-location-ips", "cni-compatibility-ip", "discovered-endpoints", "endpoint"),
        *("force-endpoint", "force-internal-ip", "granularity", "internal-ip", "key", "last-seen"),
        *("leader", "location", "persistent-keepalive", "wireguard-ip", "kgctl-ignore"),
    )
)
"""Kilo's annotations (https://kilo.squat.ai/docs/annotations), and kgctl's own one."""


def _unreadable(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        for name, text in sorted(node.unreadable.items()):
            if name in _TOLD_ELSEWHERE or _blank_at_fault(name, text):
                continue
            if name == "granularity" and text == CROSS:
                continue
            yield Found(
                NODE,
                node.name,
                f'annotation {PREFIX}{name}: "{printable(text, _SHOWN)}" does not parse',
                "Kilo goes on as if it were not there",
                f"correct it, or remove it: kubectl annotate node {quoted(node.name)} "
                f"{PREFIX}{name}-",
            )


def _blank_at_fault(name: str, text: str) -> bool:
    """Tell whether white space is what keeps a text from being parsed, as far as one can see."""
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
                    "Kilo does not trim: it goes on as if the value were not there",
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
        for key in sorted(facts.subject.node_annotations.get(node.name, ())):
            name = key.removeprefix(PREFIX)
            if name == key or name in _KNOWN:
                continue
            near = _nearest_known(name[:_SHOWN].lower())
            hint = f"; the nearest known one is {PREFIX}{near}" if near else ""
            yield Found(
                NODE,
                node.name,
                f"Kilo knows no annotation {printable(key, 100)}{hint}",
                "Kilo does not read it: what it was meant to set is not set",
                f"rename it, or remove it: kubectl annotate node {quoted(node.name)} "
                f"{quoted(key)}-",
            )


@lru_cache(_NAMES_KEPT)  # what is wrong on one node is often wrong on all
def _nearest_known(name: str) -> str | None:
    return nearest(name, sorted(_KNOWN))


def _granularity_missing(facts: Facts) -> Iterator[Found]:
    for node in facts.ready_nodes:
        if not granularity_of(node) and "granularity" not in node.unreadable:
            yield Found(
                NODE,
                node.name,
                "there is no granularity annotation",
                "kgctl can not tell location from full by this node, and may have to be told",
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
                f'the leader annotation says "{printable(text, _SHOWN)}", yet its presence counts',
                "the node has the leader flag, whatever the value",
                f"kubectl annotate node {quoted(node.name)} {PREFIX}leader-",
            )


RULES = (
    Rule("KG101", "annotation-unreadable", WARNING, "An annotation does not parse.", _unreadable),
    Rule("KG102", "annotation-white-space", WARNING, "White space spoils an annotation.", _blanks),
    Rule("KG103", "annotation-unknown", WARNING, "An annotation is none that Kilo has.", _unknown),
    Rule("KG104", "granularity-missing", INFO, "A ready node names no granularity.",
         _granularity_missing),
    Rule("KG105", "granularity-differs", ERROR, "Nodes name different granularities.",
         _granularity_differs),
    Rule("KG106", "leader-value", WARNING, "A leader flag was meant to be off, and is on.",
         _leader_value),
)  # fmt: skip
