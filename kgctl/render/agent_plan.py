"""What an agent sets up on its node, as JSON and as ``ip``, ``wg`` and ``iptables`` commands.

The JSON has the keys of the answers that are recorded from the reference (tests/golden/agent).
People read the commands, and ``bash`` runs them: they contain parsed, quoted values only and no
secret.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.agent_plan import STATIC, TABLE, Chain, Compatibility, Device
from kgctl.mesh.endpoint import is_dns_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kgctl.mesh.agent_plan import AgentPlan, FirewallRule, PolicyRule, Route
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.key import PublicKey
    from kgctl.wireguard.conf import Configuration, PeerSection

_PROGRAMS = {4: "iptables", 6: "ip6tables"}
_PRIVATE = '"$private"'
"""The interface with the internal IP, in a variable of the shell: only the node knows its name."""

_TUNNELS = {
    Compatibility.NONE: "tunl0",
    Compatibility.FLANNEL: "flannel.1",
    Compatibility.CILIUM: "cilium_tunl",
}
"""The encapsulation's interface, as the reference names it."""


def plan_as_json(
    plan: AgentPlan, configuration: Configuration | None, interface: str
) -> dict[str, Any]:
    """Return the plan with the keys of the recorded answers.

    ``configuration`` is that of the WireGuard device of a leader; ``interface`` is its name. The
    other interfaces are called ``private`` and ``tunnel``: only the node knows their names. The
    text ``conf`` has no private key, but the preshared keys of Peers.
    """
    found: dict[str, Any] = {"leader": plan.leads, "segment": plan.segment.name}
    if plan.wireguard_address is not None:
        found["wireguard-address"] = str(plan.wireguard_address)
    found["tunnel-address"] = "" if plan.tunnel_address is None else str(plan.tunnel_address)
    if configuration is not None:
        found["conf"] = str(configuration)
    names = {Device.WIREGUARD: interface, Device.PRIVATE: "private", Device.TUNNEL: "tunnel"}
    return found | {
        "routes": [_route_as_json(route, names) for route in plan.routes],
        "rules": [_rule_as_json(rule, names) for rule in plan.rules],
        "iptables-append": [_firewall_text(one) for one in plan.ordered],
        "iptables-prepend": [_firewall_text(one) for one in plan.first],
    }


def _route_as_json(route: Route, names: Mapping[Device, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"dst": str(route.dst)}
    if route.via is not None:
        found["via"] = str(route.via)
    found["dev"] = names[route.device]
    if route.src is not None:
        found["src"] = str(route.src)
    if route.via is not None:
        found["onlink"] = True
    if route.table is not None:
        found["table"] = route.table
    found["protocol"] = STATIC
    return found


def _rule_as_json(rule: PolicyRule, names: Mapping[Device, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if rule.src is not None:
        found["from"] = str(rule.src)
    found["to"] = str(rule.dst)
    if rule.iif is not None:
        found["iif"] = names[rule.iif]
    return found | {"table": TABLE}


def _firewall_text(one: Chain | FirewallRule) -> str:
    words = f"-N {one.name}" if isinstance(one, Chain) else firewall_words(one)
    return f"ipv{one.version} {one.table} {words}"


def firewall_words(rule: FirewallRule) -> str:
    """Return the words of ``iptables`` that append a rule, as the reference orders them."""
    matches = []
    if rule.src is not None:
        matches.append(f"-s {rule.src}")
    if rule.dst is not None:
        matches.append(f"-d {rule.dst}")
    if rule.protocol is not None:
        matches.append(f"-p {rule.protocol}")
    comment = f'-m comment --comment "{rule.comment}"'
    ordered = [comment, *matches] if rule.chain == "FORWARD" else [*matches, comment]
    return f"-A {rule.chain} {' '.join(ordered)} -j {rule.target}"


class NodeSettings(NamedTuple):
    """The settings of an agent that the commands need besides its plan.

    ``interface`` is the WireGuard device, which is made if ``create``. ``mtu`` is in bytes; None is
    the kernel's choice. ``internal`` is the node's internal IP.
    """

    interface: str
    key_file: Path
    create: bool = True
    mtu: int | None = None
    compatibility: Compatibility = Compatibility.NONE
    internal: Address | None = None


def plan_commands(
    plan: AgentPlan,
    configuration: Configuration | None,
    settings: NodeSettings,
    names: Mapping[PublicKey, str],
) -> Iterator[str]:
    """Yield the commands that set the plan up on a node where nothing is set up yet.

    ``configuration`` is that of the WireGuard device of a leader; ``names`` are the names of its
    Peers by key. Networks have no host bits: the kernel refuses a route with them.
    """
    devices = {
        Device.WIREGUARD: shlex.quote(settings.interface),
        Device.PRIVATE: _PRIVATE,
        Device.TUNNEL: shlex.quote(_TUNNELS[settings.compatibility]),
    }
    yield from _wireguard(plan, configuration, settings, names)
    yield from _tunnel(plan, settings, devices[Device.TUNNEL])
    yield from _firewall(plan)
    if settings.internal is not None and any(
        route.device is Device.PRIVATE for route in plan.routes
    ):
        yield f"private=$(ip -o address show to {settings.internal} | awk '{{ print $2; exit }}')"
    for route in plan.routes:
        yield _route(route, devices)
    for rule in plan.rules:
        yield _rule(rule, devices)


def _wireguard(
    plan: AgentPlan,
    configuration: Configuration | None,
    settings: NodeSettings,
    names: Mapping[PublicKey, str],
) -> Iterator[str]:
    device = shlex.quote(settings.interface)
    if settings.create:
        yield f"ip link add {device} type wireguard"
    if settings.mtu is not None:
        yield f"ip link set {device} mtu {settings.mtu}"
    if not plan.leads:
        yield f"ip link set {device} down"
        return
    if plan.wireguard_address is not None:
        yield f"ip address replace {plan.wireguard_address} dev {device}"
    if configuration is not None and configuration.interface is not None:
        file = shlex.quote(str(settings.key_file))
        port = configuration.interface.listen_port
        yield f"wg set {device} private-key {file} listen-port {port}"
        for section in configuration.peers:
            yield from _peer(device, section, names.get(section.public_key, ""))
    yield f"ip link set {device} up"


def _peer(device: str, section: PeerSection, name: str) -> Iterator[str]:
    words = [f"wg set {device} peer {section.public_key}"]
    if section.preshared_key is not None:
        # never on the command line, where every user of the node could read it
        if is_dns_name(name):
            path = "'{.spec.presharedKey}'"
            words.append(f"preshared-key <(kubectl get peer {name} -o jsonpath={path})")
        else:
            yield f"# without the preshared key of {section.public_key}: its Peer has no valid name"
    if section.endpoint is not None:
        words.append(f"endpoint {shlex.quote(str(section.endpoint))}")
    words.append(f"persistent-keepalive {section.persistent_keepalive}")
    words.append(f"allowed-ips {','.join(map(str, section.allowed_ips)) or shlex.quote('')}")
    yield " ".join(words)


def _tunnel(plan: AgentPlan, settings: NodeSettings, device: str) -> Iterator[str]:
    if not plan.tunnels or settings.compatibility is Compatibility.FLANNEL:
        return
    if settings.compatibility is Compatibility.NONE:
        yield f"ip tunnel add {device} mode ipip"
    if plan.tunnel_address is not None:
        yield f"ip address replace {plan.tunnel_address} dev {device}"
    yield f"ip link set {device} up"


def _firewall(plan: AgentPlan) -> Iterator[str]:
    for one in plan.ordered:
        words = f"-N {one.name}" if isinstance(one, Chain) else firewall_words(one)
        yield f"{_PROGRAMS[one.version]} -w -t {one.table} {words}"
    for first in plan.first:
        words = firewall_words(first).replace("-A ", "-I ", 1)
        yield f"{_PROGRAMS[first.version]} -w -t {first.table} {words}"


def _route(route: Route, devices: Mapping[Device, str]) -> str:
    network = route.dst.masked()
    words = [f"ip route replace {network}"]
    if route.via is not None:
        if (route.dst.version, route.via.version) == (6, 4):
            return f"# no route to {network} via {route.via}: the kernel has none of IPv6 via IPv4"
        words.append(f"via{' inet6' if route.via.version > route.dst.version else ''} {route.via}")
    words.append(f"dev {devices[route.device]}")
    if route.src is not None and route.src.version == route.dst.version:
        words.append(f"src {route.src}")
    if route.via is not None:
        words.append("onlink")
    if route.table is not None:
        words.append(f"table {route.table}")
    return " ".join([*words, "proto static"])


def _rule(rule: PolicyRule, devices: Mapping[Device, str]) -> str:
    words = [f"ip{' -6' if rule.dst.version == 6 else ''} rule add"]
    if rule.src is not None:
        words.append(f"from {rule.src}")
    words.append(f"to {rule.dst}")
    if rule.iif is not None:
        words.append(f"iif {devices[rule.iif]}")
    return " ".join([*words, f"table {TABLE}"])
