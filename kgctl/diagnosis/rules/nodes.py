"""KG0xx: nodes that are not ready, or should not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import CLUSTER, ERROR, NODE, WARNING, Found, Rule
from kgctl.diagnosis.reasons import why_unreadable
from kgctl.kilo import PREFIX
from kgctl.mesh.node import NO_PLATFORM, READY_SECONDS
from kgctl.mesh.readiness import CLOCK_TOLERANCE, age, clock_trouble
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.node import Node

_LEFT_OUT = "Kilo leaves the node out: its pods cannot be reached from other locations or peers"
_SHOWN = 60  # characters of a value
_MICROK8S = ("microk8s.io/", "node.kubernetes.io/microk8s-")
_EKS = ("eks.amazonaws.com/", "alpha.eksctl.io/")


def _without_agent(facts: Facts) -> Iterator[Found]:
    for node in () if facts.never_ran else facts.state.nodes:
        if not facts.has_agent(node) and not node.is_ready(facts.now):
            yield Found(
                NODE,
                node.name,
                "Kilo's agent has written nothing on the node: no key, no endpoint, no heartbeat",
                _LEFT_OUT,
                "check whether Kilo's pod runs there: kubectl get pods -A -o wide "
                f"--field-selector spec.nodeName={quoted(node.name)}",
            )


def _lacking(facts: Facts, what: str, *fields: str) -> Iterator[tuple[Node, str]]:
    """Yield the nodes that lack a field although Kilo runs there, with a sentence about it."""
    values = {"endpoint": "endpoint", "key": "key", "pod CIDR": "subnet"}
    for node in facts.state.nodes:
        if getattr(node, values[what]) is not None:
            continue
        texts = ((field, node.unreadable.get(field)) for field in fields)
        bad = next(((field, text) for field, text in texts if text is not None), None)
        if bad is not None:
            why = why_unreadable(*bad)
            yield node, f'the {what} "{printable(bad[1], _SHOWN)}" does not parse: {why}'
        elif facts.has_agent(node) or (what == "pod CIDR" and not facts.never_ran):
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
        yield Found(NODE, node.name, sentence, _LEFT_OUT, _pod_cidr_for(facts, node))


def _pod_cidr_for(facts: Facts, node: Node) -> str:
    """Return how a node gets a pod CIDR on its platform."""
    labels = facts.subject.node_labels.get(node.name, {})
    platform = facts.subject.platforms.get(node.name, NO_PLATFORM)
    if any(label.startswith(_MICROK8S) for label in labels):
        return (
            "MicroK8s allocates none: add --allocate-node-cidrs=true and "
            "--cluster-cidr=10.1.0.0/16 to /var/snap/microk8s/current/args/kube-controller-manager,"
            " then: snap restart microk8s"
        )
    if platform.provider_id.startswith("aws:") or any(one.startswith(_EKS) for one in labels):
        spec = '{"spec":{"podCIDR":"CIDR","podCIDRs":["CIDR"]}}'
        return (
            "EKS allocates none; give the node one that nothing else has, which works once: "
            f"kubectl patch node {quoted(node.name)} -p {quoted(spec)}"
        )
    return (
        "let the controller manager allocate pod CIDRs (--allocate-node-cidrs), with a "
        "--cluster-cidr that has one left; for EKS and MicroK8s: kgctl explain KG003"
    )


def _without_heartbeat(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        bad = node.unreadable.get("last-seen")
        if bad is not None:
            why = why_unreadable("last-seen", bad)
            sentence = f'the heartbeat "{printable(bad, _SHOWN)}" does not parse: {why}'
        elif node.last_seen == 0 and facts.has_agent(node):
            sentence = "there is no heartbeat"
        else:
            continue
        yield Found(NODE, node.name, sentence, _LEFT_OUT, _logs(node))


def _stale(facts: Facts) -> Iterator[Found]:
    together = _all_alike(facts)
    for node in facts.state.nodes:
        if node.last_seen and facts.now - node.last_seen >= READY_SECONDS:
            span = age(facts.now - node.last_seen)
            yield Found(
                NODE,
                node.name,
                f"the last heartbeat is {span} old; less than {READY_SECONDS} s is ready",
                _LEFT_OUT,
                _late(facts, node, together=together),
            )


_ALL_ALIKE = (
    "every heartbeat is equally old: set the clock of this machine, if it is ahead; use --at "
    "newest for a snapshot; else check whether agents reach the API server"
)
_ALL_LATE = (
    "every heartbeat is equally old, and this machine's clock is not ahead of the API server's: "
    "check whether agents reach the API server"
)


def _late(facts: Facts, node: Node, *, together: bool) -> str:
    """Return the remedy for an old heartbeat: this machine's clock, if that is the cause."""
    ahead = facts.subject.clock_ahead
    trouble = clock_trouble(ahead)
    if ahead is not None and trouble and facts.now - ahead - node.last_seen < READY_SECONDS:
        return f"{trouble}, which makes heartbeats look old: set it (timedatectl)"
    if together:
        return _ALL_ALIKE if ahead is None or ahead >= CLOCK_TOLERANCE else _ALL_LATE
    return _logs(node, "its clock is right, and ")


def _all_alike(facts: Facts) -> bool:
    """Return whether the heartbeats of several nodes all stopped at the same time."""
    seen = [node.last_seen for node in facts.state.nodes if node.last_seen]
    return (
        len(seen) > 1
        and facts.now - max(seen) >= READY_SECONDS
        and max(seen) - min(seen) < READY_SECONDS
    )


def _logs(node: Node, first: str = "") -> str:
    return (
        f"check whether {first}Kilo's pod runs there, and reaches the API server: kubectl get pods "
        f"-A -o wide --field-selector spec.nodeName={quoted(node.name)}"
    )


def _ahead(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        ahead = node.last_seen - facts.now
        if ahead >= READY_SECONDS:
            yield Found(
                NODE,
                node.name,
                f"the last heartbeat is {age(ahead)} in the future",
                "the node counts as ready until then, even if its agent is dead",
                _early(facts, node),
            )


def _early(facts: Facts, node: Node) -> str:
    """Return the remedy for a heartbeat in the future: the clock to set."""
    ahead = facts.subject.clock_ahead
    if ahead is None:
        return "set the clock of the node, or of this machine (--at names another time)"
    trouble = clock_trouble(ahead)
    if trouble and node.last_seen - (facts.now - ahead) < READY_SECONDS:
        return f"{trouble}: set it (timedatectl)"
    also = f"{trouble} too" if trouble else "this machine's agrees with the API server's"
    return f"set the clock of the node (date -u there); {also}"


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
                "WireGuard identifies a peer by its key: the two take each other's traffic, and if "
                "both lead, agents rewrite their WireGuard devices every 30 s",
                "a machine was cloned: on one, remove Kilo's key file and restart Kilo's pod",
            )


def _never_ran(facts: Facts) -> Iterator[Found]:
    if not facts.never_ran:
        return
    count, lacking = len(facts.state.nodes), sum(not node.subnet for node in facts.state.nodes)
    without = f"; without the pod CIDR that Kilo needs (KG003): {lacking}" if lacking else ""
    yield Found(
        CLUSTER,
        "",
        f"Kilo's agent has written nothing on any of the {count} nodes{without}",
        "Kilo does not run here: there is no network",
        "install Kilo (https://kilo.squat.ai); if it is: kubectl get pods -A "
        "-l app.kubernetes.io/name=kilo -o wide",
    )


def _no_nodes(facts: Facts) -> Iterator[Found]:
    if facts.subject.live and not facts.state.nodes:
        yield Found(
            CLUSTER,
            "",
            "the cluster has no nodes",
            "there is no network: no graph, no configuration",
            "check whether this is the intended cluster: kubectl config current-context",
        )


def quoted(name: str) -> str:
    """Quote a name for a shell command, on one printable line."""
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
    Rule("KG009", "cluster-without-kilo", ERROR, "Kilo's agent never ran in the cluster.",
         _never_ran),
    Rule("KG010", "no-nodes", ERROR, "The cluster has no nodes.", _no_nodes),
)  # fmt: skip
