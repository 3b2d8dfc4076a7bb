"""KG0xx: nodes that take no part, or should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import ERROR, NODE, WARNING, Found, Rule
from kgctl.diagnosis.subject import PREFIX
from kgctl.mesh.node import READY_SECONDS
from kgctl.mesh.readiness import age
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.node import Node

_LEFT_OUT = "Kilo leaves the node out: its pods can not be reached from other locations or peers"
_SHOWN = 60  # characters of a value


def _has_agent(facts: Facts, node: Node) -> bool:
    """Tell whether Kilo's agent ever wrote something on the node, as far as annotations show."""
    written = facts.subject.node_annotations.get(node.name, {})
    return any(PREFIX + name in written for name in ("key", "endpoint", "last-seen", "internal-ip"))


def _without_agent(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        if not _has_agent(facts, node) and not node.is_ready(facts.now):
            yield Found(
                NODE,
                node.name,
                "Kilo's agent has written nothing on the node: no key, no endpoint, no heartbeat",
                _LEFT_OUT,
                "see whether Kilo's pod runs there: kubectl get pods -A -o wide "
                f"--field-selector spec.nodeName={quoted(node.name)}",
            )


def _lacking(facts: Facts, what: str, *fields: str) -> Iterator[tuple[Node, str]]:
    """Yield the nodes that lack a field although Kilo runs there, and what is wrong with it."""
    values = {"endpoint": "endpoint", "key": "key", "pod CIDR": "subnet"}
    for node in facts.state.nodes:
        if getattr(node, values[what]) is not None:
            continue
        texts = (node.unreadable.get(field) for field in fields)
        bad = next((text for text in texts if text is not None), None)
        if bad is not None:
            yield node, f'the {what} "{printable(bad, _SHOWN)}" does not parse'
        elif what == "pod CIDR" or _has_agent(facts, node):
            yield node, f"there is no {what}"


def _without_endpoint(facts: Facts) -> Iterator[Found]:
    for node, sentence in _lacking(facts, "endpoint", "force-endpoint", "endpoint"):
        remedy = f"kubectl annotate node {quoted(node.name)} --overwrite {PREFIX}force-endpoint="
        yield Found(NODE, node.name, sentence, _LEFT_OUT, remedy + "ADDRESS:51820")


def _without_key(facts: Facts) -> Iterator[Found]:
    for node, sentence in _lacking(facts, "key", "key"):
        remedy = "restart Kilo's pod on the node: its agent writes the key when it starts"
        yield Found(NODE, node.name, sentence, _LEFT_OUT, remedy)


def _without_subnet(facts: Facts) -> Iterator[Found]:
    for node, sentence in _lacking(facts, "pod CIDR", "podCIDR"):
        remedy = (
            "let the controller manager allocate pod CIDRs (--allocate-node-cidrs), "
            "with a --cluster-cidr that has one left"
        )
        yield Found(NODE, node.name, sentence, _LEFT_OUT, remedy)


def _without_heartbeat(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        bad = node.unreadable.get("last-seen")
        if bad is not None:
            sentence = f'the heartbeat "{printable(bad, _SHOWN)}" does not parse'
        elif node.last_seen == 0 and _has_agent(facts, node):
            sentence = "there is no heartbeat"
        else:
            continue
        yield Found(NODE, node.name, sentence, _LEFT_OUT, _logs(node))


def _stale(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        if node.last_seen and facts.now - node.last_seen >= READY_SECONDS:
            span = age(facts.now - node.last_seen)
            yield Found(
                NODE,
                node.name,
                f"the last heartbeat is {span} old; less than {READY_SECONDS} s is ready",
                _LEFT_OUT,
                _logs(node),
            )


def _logs(node: Node) -> str:
    return (
        "see whether Kilo's pod runs there, and reaches the API server: kubectl get pods -A "
        f"-o wide --field-selector spec.nodeName={quoted(node.name)}"
    )


def _ahead(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        ahead = node.last_seen - facts.now
        if ahead >= READY_SECONDS:
            yield Found(
                NODE,
                node.name,
                f"the last heartbeat is {age(ahead)} in the future",
                "the node counts as ready until then, even when its agent is dead",
                "set the clock of the node, or of this machine (--at names another time)",
            )


def _same_key(facts: Facts) -> Iterator[Found]:
    seen: dict[object, Node] = {}
    for node in facts.state.nodes:
        if node.key is None:
            continue
        first = seen.setdefault(node.key, node)
        if first is not node:
            yield Found(
                NODE,
                node.name,
                f"its public key is also that of node {printable(first.name)}",
                "WireGuard knows a peer by its key: the two take each other's traffic, and where "
                "both lead, agents rewrite their WireGuard devices every 30 s",
                "a machine was cloned: on one, remove Kilo's key file and restart Kilo's pod",
            )


def quoted(name: str) -> str:
    """Return a name as it stands in a shell command, on one printable line."""
    from shlex import quote

    return quote(printable(name))


RULES = (
    Rule("KG001", "node-without-endpoint", ERROR, "A node has no usable endpoint.",
         _without_endpoint),
    Rule("KG002", "node-without-key", ERROR, "A node has no usable public key.", _without_key),
    Rule("KG003", "node-without-pod-cidr", ERROR, "A node has no usable pod CIDR.",
         _without_subnet),
    Rule("KG004", "node-without-heartbeat", ERROR, "A node has no usable heartbeat.",
         _without_heartbeat),
    Rule("KG005", "heartbeat-stale", ERROR, "A node's heartbeat is too old.", _stale),
    Rule("KG006", "heartbeat-in-the-future", WARNING, "A node's heartbeat is in the future.",
         _ahead),
    Rule("KG007", "node-without-kilo", ERROR, "Kilo's agent never ran on a node.",
         _without_agent),
    Rule("KG008", "key-of-two-nodes", ERROR, "Two nodes have the same public key.", _same_key),
)  # fmt: skip
