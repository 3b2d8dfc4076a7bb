"""Changes of this host as the ``ip`` and ``wg`` commands that would make them.

A line is for a person, and for ``sh``: it holds parsed values only, quoted, and no secret.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from kgctl.host.routes import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kgctl.connect.identity import Identity
    from kgctl.host.interface import Refused, RouteChange
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.routes import Exclusion, Route
    from kgctl.wireguard.device import DeviceChange, PeerChange


_VERBATIM_END = "'END'"  # the shell expands nothing up to it
_KEY, _PUBLIC_KEY = "$key", "$public"


def peer_commands(identity: Identity) -> Iterator[str]:
    """Yield what gives this host its Peer.

    Its public key is that of the private key that ``device_commands`` sets: where that is a new
    one, these commands make both.
    """
    if identity.generated:
        yield "# a new private key, which kgctl connect keeps in memory only"
        yield "key=$(wg genkey)"
        yield f'''public=$(printf '%s\\n' "{_KEY}" | wg pubkey)'''
    if identity.stale is not None:
        membership, key = identity.stale
        name = shlex.quote(membership.name)
        yield f"kubectl delete peer {name}  # if its public key still is {key}"
    application, found = identity.application, identity.found
    public_key = _PUBLIC_KEY if identity.generated else str(application.public_key)
    if found is None:
        manifest = application.manifest()
        manifest["spec"]["publicKey"] = public_key
        yield f"kubectl create -f - <<{'END' if identity.generated else _VERBATIM_END}"
        yield json.dumps(manifest)
        yield "END"
    elif found.public_key != application.public_key:
        patch = json.dumps({"spec": {"publicKey": public_key}}).replace('"', '\\"')
        yield f'''kubectl patch peer {shlex.quote(found.name)} --type merge -p "{patch}"'''


def link_commands(
    interface: str, *, exists: bool, mtu: int, addresses: tuple[Cidr, ...]
) -> Iterator[str]:
    """Yield what makes the interface; ``mtu`` is in bytes."""
    name = shlex.quote(interface)
    if not exists:
        yield f"ip link add {name} type wireguard"
    yield f"ip link set {name} mtu {mtu}"
    for cidr in addresses:
        nodad = " nodad" if cidr.version == 6 else ""
        yield f"ip address replace {cidr} dev {name}{nodad}"
    yield f"ip link set {name} up"


def device_commands(
    interface: str,
    change: DeviceChange,
    *,
    private_key: Path | None,
    peer: str,
    allowed_ips: Mapping[PublicKey, Iterable[Cidr]] | None = None,
) -> Iterator[str]:
    """Yield what changes the device.

    ``private_key`` is the file; None is the key that ``peer_commands`` make. ``allowed_ips`` are
    all of those of peers that stay, where they change: ``wg set`` replaces them.

    A preshared key is read from the Peer object when the command is run: it is not shown.
    """
    name = shlex.quote(interface)
    if change.private_key is not None:
        generated = f'''<(printf '%s\\n' "{_KEY}")'''
        file = generated if private_key is None else shlex.quote(str(private_key))
        yield f"wg set {name} private-key {file}"
    if change.listen_port is not None:
        yield f"wg set {name} listen-port {change.listen_port}"
    whole = dict(allowed_ips or {})
    for one in change.peers:
        cidrs = whole.pop(one.public_key, one.add_allowed_ips or None)
        yield f"wg set {name} peer {one.public_key}{_peer(one, peer)}{_allowed(cidrs)}"
    for key, cidrs in whole.items():
        yield f"wg set {name} peer {key}{_allowed(cidrs)}"
    for key in change.remove:
        yield f"wg set {name} peer {key} remove"


def _peer(change: PeerChange, peer: str) -> str:
    words = []
    if change.preshared_key is not None:
        path = "'{.spec.presharedKey}'"
        words.append(f"preshared-key <(kubectl get peer {shlex.quote(peer)} -o jsonpath={path})")
    elif change.drop_preshared_key:
        words.append("preshared-key /dev/null")
    if change.endpoint is not None:
        words.append(f"endpoint {change.endpoint}")
    if change.persistent_keepalive is not None:
        words.append(f"persistent-keepalive {change.persistent_keepalive}")
    return "".join(f" {word}" for word in words)


def _allowed(cidrs: Iterable[Cidr] | None) -> str:
    """Return the words that set all allowed IPs of a peer; None sets none."""
    if cidrs is None:
        return ""
    return f" allowed-ips {','.join(sorted(map(str, cidrs))) or shlex.quote('')}"


def route_notes(excluded: Iterable[Exclusion], taken: Iterable[Refused]) -> Iterator[str]:
    """Yield as comments which routes there will not be, and why."""
    for one in excluded:
        yield f"# not into the tunnel: {one}, to which the tunnel's own packets go, or kgctl's"
    for refused in taken:
        yield f"# no route to {refused.route.destination}: {refused.reason}"


def route_commands(
    interface: str, change: RouteChange, addresses: Iterable[Cidr] = ()
) -> Iterator[str]:
    """Yield what changes the routes; ``addresses`` are those that this host sends from."""
    sources: dict[int, str] = {}
    for cidr in addresses:
        sources.setdefault(cidr.version, f" src {cidr.address}")
    for verb, routes in (("add", change.add), ("replace", change.replace), ("del", change.remove)):
        for route in routes:
            source = "" if verb == "del" else sources.get(route.destination.version, "")
            way = f"{_route(route)} dev {shlex.quote(interface)}{_onlink(route)}{source}"
            yield f"ip route {verb} {way}"


def _route(route: Route) -> str:
    return str(route.destination) + (f" via {route.gateway}" if route.gateway else "")


def _onlink(route: Route) -> str:
    return f"{' onlink' if route.gateway else ''} proto {PROTOCOL}"
