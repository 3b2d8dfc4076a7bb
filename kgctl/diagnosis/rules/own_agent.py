"""KG8xx: the agent of a node, and the machine that it sets up, as seen on that machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import ERROR, NODE, WARNING, Found, NodeRule
from kgctl.diagnosis.node_agent import Kind
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.readiness import age
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.node_agent import Lasting, NodeAgent

_SHOWN = 3  # differences in a sentence
_LONGEST = 300  # characters of one
_LOG = "kubectl logs -n kube-system ds/kilo, or journalctl -u kgctl-agent"
_BREAKS = {
    Kind.DEVICE: "packets between this node's location and others or peers are dropped",
    Kind.INTERFACE: "packets through that interface are lost, or too large for it",
    Kind.ROUTE: "packets to these networks leave the node by another way, or not at all",
    Kind.RULE: "packets for nodes of the own location miss table 1107, or others end up there",
    Kind.FIREWALL: "packets are dropped, masqueraded or let through otherwise than by Kilo's rules",
}


def _start(agent: NodeAgent) -> str:
    return (
        "systemctl start kgctl-agent; or, as a DaemonSet: kubectl get pods -n kube-system -o wide "
        f"--field-selector spec.nodeName={quoted(agent.node)}"
    )


def _since(since: int, now: float) -> str:
    return f", for {age(now - since)}" if since else ""


def _found(agent: NodeAgent, sentence: str, effect: str, remedy: str) -> Found:
    return Found(NODE, agent.node, sentence, effect, remedy)


def _gone(agent: NodeAgent) -> Iterator[Found]:
    if not agent.announced:
        return
    never = "there is no heartbeat"
    last = never if agent.heartbeat is None else f"its last heartbeat is {age(agent.heartbeat)} old"
    if agent.runs is False:
        yield _found(
            agent,
            "no kgctl agent runs on this machine, though the node's annotations are an agent's; "
            f"{last}",
            "nobody mends what changes here, or follows the cluster; 60 s after the last heartbeat "
            "the others leave this node out",
            _start(agent),
        )
    elif agent.is_silent:
        runs = f"its agent runs{_since(agent.started, agent.now)}, and still {last}"
        yield _found(
            agent,
            runs if agent.runs else f"{last}; whether its agent runs is unknown",
            "the others leave this node out",
            f"see whether the agent reaches the API server, and the clock is right: {_LOG}",
        )


def _differs(agent: NodeAgent) -> Iterator[Found]:
    for kind, sentences in agent.differences.items():
        if sentences:
            shown = "; ".join(printable(one, _LONGEST) for one in sentences[:_SHOWN])
            more = f"; and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
            yield _found(
                agent,
                f"its {kind} are not as its agent sets them: {shown}{more}"
                if kind is not Kind.DEVICE
                else f"its {kind} is not as its agent sets it: {shown}{more}",
                _BREAKS[kind],
                _mend(agent),
            )


def _mend(agent: NodeAgent) -> str:
    if agent.runs is False:
        return f"start the agent, which mends it: {_start(agent)}"
    return (
        "wait for --resync-period, and check again; if it stays, the agent's log has the reason: "
        f"{_LOG}; kgctl drift shows all differences"
    )


def _is_silent(agent: NodeAgent) -> Iterator[Found]:
    for peer in agent.silent:
        why = "; ".join(printable(one, _LONGEST) for one in peer.reasons)
        yield _found(
            agent,
            f"it has no session with {printable(peer.name)}, last handshake {printable(peer.last)}"
            + (f": {why}" if why else ""),
            "no packet passes between the two",
            "see what the reason names; kgctl path NODE PEER shows whether one can dial the other",
        )


def _refuses(agent: NodeAgent) -> Iterator[Found]:
    for one in agent.refused:
        yield _found(
            agent,
            f"its agent refuses{_since(one.since, agent.now)}: {_text(one)}",
            "this node sends nothing there, and WireGuard drops what comes from there",
            "if the claim is right, start all agents with --accept NAME=CIDR; else correct the "
            "annotation, or the Peer, that claims it",
        )


def _fails(agent: NodeAgent) -> Iterator[Found]:
    for one in agent.failing:
        yield _found(
            agent,
            f"its agent fails{_since(one.since, agent.now)}: {_text(one)}",
            "that part of the machine stays as it is, and the agent tries again",
            f"do what the message says; the agent's log has more: {_LOG}",
        )


def _text(one: Lasting) -> str:
    return printable(one.text, 2 * _LONGEST)


def _forwards_not(agent: NodeAgent) -> Iterator[Found]:
    for one in agent.parameters:
        name, found, wanted = map(printable, one)
        yield _found(
            agent,
            f"the kernel parameter {name} is {found or 'unknown'}, and has to be {wanted}",
            "the kernel drops packets whose way back is another one"
            if "rp_filter" in name
            else "the kernel forwards no packets between pods, locations and peers",
            f"sysctl -w {name}={wanted}, and write it to a file in /etc/sysctl.d",
        )


def _loops(agent: NodeAgent) -> Iterator[Found]:
    for peer, endpoint in agent.inside.items():
        yield _found(
            agent,
            f"WireGuard dials {printable(peer)} at {printable(endpoint)}, which this node's routes "
            "lead into the tunnel itself",
            "packets to that peer circle on this node, and may end both sides' session",
            "let the agent run, which takes such an endpoint away; make the network that contains "
            "the address narrower, or give that node another endpoint: kgctl node set NODE "
            "--force-endpoint HOST:PORT",
        )


RULES = (
    NodeRule("KG801", "agent-gone", ERROR,
             "The agent of this node does not run, or does not reach the API server.", _gone),
    NodeRule("KG802", "node-differs", ERROR,
             "This machine is not as its agent sets it up.", _differs),
    NodeRule("KG803", "agent-peer-silent", WARNING,
             "This node has no session with a peer that it keeps one with.", _is_silent),
    NodeRule("KG804", "agent-refuses-claim", WARNING,
             "The agent of this node refuses a claim.", _refuses),
    NodeRule("KG805", "forwarding-off", ERROR,
             "A kernel parameter of this node keeps it from forwarding.", _forwards_not),
    NodeRule("KG806", "endpoint-in-own-tunnel", ERROR,
             "This node dials a peer through its own tunnel.", _loops),
    NodeRule("KG807", "agent-fails", ERROR,
             "A step of this node's agent fails, or the node takes no part.", _fails),
)  # fmt: skip
