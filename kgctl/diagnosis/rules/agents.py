"""KG321, KG416, KG504: inputs that make agents rewrite their WireGuard devices over and over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import ERROR, NODE, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.comparison import Cause
from kgctl.mesh.peer import NAT_KEEPALIVE
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.comparison import Leaders, Owner, Unsettled


def effect(leaders: Leaders) -> str:
    """Return the effect on leaders whose devices never reach the wanted state, in words."""
    who = f"the agent of {_called(leaders)} rewrites its whole WireGuard device every 30 s"
    if leaders.now:
        return f"{who}, and each time all its links break for 15 s"
    if leaders.hidden:
        return (
            f"as soon as peer {printable(leaders.behind)} connects, which hides it now, {who}, "
            "and each time all its links break for 15 s"
        )
    return "the agents never reach the wanted state"


def _called(leaders: Leaders) -> str:
    if leaders.every or not leaders.names:
        return "each leader"
    names = [printable(name) for name in leaders.names]
    more = leaders.now - len(names)
    rest = f" and {more} more leaders each" if more > 0 else " each" if len(names) > 1 else ""
    return f"{', '.join(names)}{rest}"


def owner_in_words(owner: Owner | None) -> str:
    """Return ``node a-1`` or ``peer laptop``, printable."""
    return "" if owner is None else f"{owner.kind} {printable(owner.name)}"


def keepalive_command(owner: Owner) -> str:
    """Return the command that gives a node or a peer a keepalive."""
    group = "node" if owner.kind == NODE else "peer"
    return f"kgctl {group} set {quoted(owner.name)} --persistent-keepalive {NAT_KEEPALIVE}"


def _moves(facts: Facts) -> Iterator[Found]:
    for one in facts.unsettled[Cause.MOVED]:
        if one.owner.kind == NODE and one.owner.name in facts.seen_behind_nat:
            continue  # KG304 reports it
        yield Found(
            one.owner.kind,
            one.owner.name,
            f"it calls from {one.seen}, which is not its endpoint, and has no persistent keepalive",
            f"without one its endpoint may not move: {effect(one.leaders)}",
            keepalive_command(one.owner),
        )


def _location_ip_host_bits(facts: Facts) -> Iterator[Found]:
    for one in facts.unsettled[Cause.HOST_BITS]:
        if one.owner.kind == NODE and one.network is not None:
            yield Found(
                NODE,
                one.owner.name,
                f"its allowed location IP {one.network} has host bits set: it stands for "
                f"{one.network.masked()}",
                f"the kernel refuses its route, and with it others; {effect(one.leaders)}",
                f"kgctl node set {quoted(one.owner.name)} --allowed-location-ips "
                f"{_location_ips(facts, one.owner.name)}",
            )


def _location_ips(facts: Facts, name: str) -> str:
    node = facts.nodes.get(name)
    masked = () if node is None else (cidr.masked() for cidr in node.allowed_location_ips)
    return ",".join(map(str, dict.fromkeys(masked)))


def in_words(one: Unsettled) -> str:
    """Return a permanent difference as a printable clause about its owner."""
    owner = owner_in_words(one.owner)
    if one.cause is Cause.TWICE:
        return f"{one.network} of {owner} is also that of {_other(one)}"
    if one.cause is Cause.HOST_BITS:
        return f"{one.network} of {owner} has host bits set"
    if one.cause is Cause.KEY:
        return f"the public key of {owner} is also that of {_other(one)}"
    if one.cause is Cause.KEEPALIVE:
        return f"the keepalive of {owner} does not fit into WireGuard's 0 to 65535 s"
    seen = "" if one.seen is None else f" from {one.seen}"
    return f"{owner} calls{seen}, and without a keepalive its endpoint may not move"


def _never_settle(facts: Facts) -> Iterator[Found]:
    for one in facts.unsettled[Cause.TWICE]:
        yield Found(
            one.owner.kind,
            one.owner.name,
            f"its {one.network} is also that of {_other(one)}: on a leader with both, WireGuard "
            "keeps it for one of them",
            effect(one.leaders),
            f"give the network to only one; kgctl diff -f FILE shows what a change does, and "
            f"kgctl get {one.owner.kind}s -o wide shows the owners",
        )
    for one in facts.unsettled[Cause.KEEPALIVE]:
        node = facts.nodes.get(one.owner.name)
        seconds = 0 if node is None else node.excessive_keepalive
        yield Found(
            NODE,
            one.owner.name,
            f"its persistent-keepalive of {seconds} s is out of WireGuard's range, 0 to 65535 s",
            effect(one.leaders),
            keepalive_command(one.owner),
        )


def _other(one: Unsettled) -> str:
    if one.other == one.owner:
        return "itself, a second time"
    return owner_in_words(one.other)


OF_NODES = (
    Rule("KG321", "location-ip-host-bits", ERROR,
         "An allowed location IP has host bits.", _location_ip_host_bits),
)  # fmt: skip
OF_PEERS = (
    Rule("KG416", "endpoint-moves", ERROR,
         "A machine without a keepalive calls from another endpoint.", _moves),
)  # fmt: skip
OF_CLUSTER = (
    Rule("KG504", "agents-never-settle", ERROR,
         "Agents rewrite their WireGuard devices again and again.",
         _never_settle),
)  # fmt: skip
