"""The dry run of ``kgctl connect``: its changes as ``ip``, ``wg`` and ``kubectl`` commands.

People read the lines, and ``sh`` runs them: they contain parsed, quoted values only and no secret.
"""

from __future__ import annotations

import json
import shlex
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from kgctl.connect.identity import establish
from kgctl.connect.network import wanted_of
from kgctl.connect.outside import Guarding, Servers, dialled
from kgctl.connect.shared_addresses import shared_addresses
from kgctl.connect.synchroniser import Synchroniser, plan_routes
from kgctl.errors import KgctlError
from kgctl.host import names as resolver
from kgctl.host.links import Links
from kgctl.host.names import Names
from kgctl.host.netlink import open_netlink
from kgctl.host.record import RecordFile
from kgctl.host.route_messages import open_routes
from kgctl.host.routes import PROTOCOL, read_routes
from kgctl.host.surroundings import read_addresses, surroundings
from kgctl.host.tunnel import Tunnel, open_device, refuse_other_kinds
from kgctl.mesh.peer import Peer
from kgctl.mesh.policy import summaries, unknown_names
from kgctl.mesh.routes import Passages
from kgctl.state.objects import state_of
from kgctl.wireguard.device import DeviceState, device_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from kgctl.connect.identity import Identity
    from kgctl.connect.interface import Cluster, Options
    from kgctl.connect.network import Wanted
    from kgctl.host.links import NetLink, Refused, RouteChange, RouteTable
    from kgctl.host.record import Record
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.routes import Exclusion, Route
    from kgctl.mesh.state import State
    from kgctl.wireguard.device import DeviceChange, PeerChange


_VERBATIM_END = "'END'"  # quoted: the shell expands nothing in the here-document
_KEY, _PUBLIC_KEY = "$key", "$public"


def peer_commands(identity: Identity) -> Iterator[str]:
    """Yield the commands that create or patch this host's Peer.

    Its public key belongs to the private key that ``device_commands`` sets. These commands
    generate both if the key is new.
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
    """Yield the commands that create the interface; ``mtu`` is in bytes."""
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
    """Yield the commands that change the device.

    ``private_key`` is the key file; None means the key that ``peer_commands`` generates.
    ``allowed_ips`` maps peers that stay to all their allowed IPs, where these change, since
    ``wg set`` replaces them.

    A preshared key is not shown: the command reads it from the Peer object when it runs.
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
        words.append(f"endpoint {shlex.quote(str(change.endpoint))}")
    if change.persistent_keepalive is not None:
        words.append(f"persistent-keepalive {change.persistent_keepalive}")
    return "".join(f" {word}" for word in words)


def _allowed(cidrs: Iterable[Cidr] | None) -> str:
    """Return the words that set all allowed IPs of a peer; None sets none."""
    if cidrs is None:
        return ""
    return f" allowed-ips {','.join(sorted(map(str, cidrs))) or shlex.quote('')}"


def route_notes(excluded: Iterable[Exclusion], taken: Iterable[Refused]) -> Iterator[str]:
    """Yield comments on the routes that are not set, with the reason."""
    for one in excluded:
        yield f"# not into the tunnel: {one}, which the tunnel or kgctl itself needs"
    for refused in taken:
        yield f"# no route to {refused.route.destination}: {refused.reason}"


def route_commands(
    interface: str, change: RouteChange, addresses: Iterable[Cidr] = ()
) -> Iterator[str]:
    """Yield the commands that change the routes; ``addresses`` are this host's in the network."""
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


_NAMES_SECONDS = 5.0


def commands(
    options: Options, cluster: Cluster, worded: Callable[[object], str] = str
) -> Iterator[str]:
    """Yield the commands in order, and notes as comments; ``worded`` puts a note into words.

    Raises:
        KgctlError: the cluster cannot be read, or its state would make connecting fail.
    """
    with closing(Links()) as links:
        link = links.find(options.interface)
    if link is not None:
        refuse_other_kinds(link)
    identity = _identity(options, cluster)
    names = Names(lambda: None)
    servers = Servers(cluster.host(), names)
    guarding = Guarding(options, servers)
    present, table = _present(link, guarding)
    state = state_of(cluster.read(), topology_label=options.topology_label)
    wanted = wanted_of(
        _joined(state, identity),
        name=options.name,
        now=time.time(),
        granularity=options.granularity,
        extra=options.extra,
        limits=options.limits,
        guards=guarding.guards(),
    )
    for refused in summaries(wanted.refusals):
        yield f"# refused: {refused}"
    for unknown in unknown_names(options.limits, state.names):
        yield f"# {worded(unknown)}"
    for shared in shared_addresses(state, options.name, identity.addresses):
        yield f"# {worded(shared)}"
    yield from peer_commands(identity)
    yield from link_commands(
        options.interface, exists=link is not None, mtu=options.mtu, addresses=identity.addresses
    )
    target = _target(options, identity, wanted, names)
    change = device_change(present, target, given={}, now=time.time())
    yield from device_commands(
        options.interface,
        change,
        private_key=options.private_key,
        peer=options.name,
        allowed_ips={
            key: peer.allowed_ips
            for key, peer in target.peers.items()
            if key in present.peers and present.peers[key].allowed_ips != peer.allowed_ips
        },
    )
    outside = (*dialled(target), *dialled(present), *guarding.outside())
    planned = plan_routes(table, Passages(wanted.routes), outside)
    yield from route_notes(planned.passage.excluded, planned.taken)
    yield from route_commands(options.interface, planned.change, identity.addresses)
    for argv in resolver.commands(options.interface, options.dns, options.search_domains):
        yield shlex.join(argv)


def _identity(options: Options, cluster: Cluster) -> Identity:
    record, leftover = _left(options.interface)
    return establish(options, cluster.peers(), record, leftover)


def _left(interface: str) -> tuple[Record | None, DeviceState | None]:
    """Return what another kgctl left, as far as it is visible without privileges."""
    try:
        file = RecordFile(interface)
        tunnel = Tunnel(interface, file)
        try:
            return file.read(), tunnel.leftover()
        finally:
            tunnel.dispose()
    except KgctlError:
        return None, None


def _joined(state: State, identity: Identity) -> State:
    """Return the state including this host's Peer."""
    if identity.found is not None:
        identity.membership.check(identity.found, identity.application)
        return state
    application = identity.application
    own = Peer(
        name=application.name,
        allowed_ips=application.allowed_ips,
        public_key=application.public_key,
        persistent_keepalive=application.keepalive,
    )
    peers = sorted((*state.peers, own), key=lambda peer: peer.name)
    return state._replace(peers=tuple(peers))


def _present(link: NetLink | None, guarding: Guarding) -> tuple[DeviceState, RouteTable]:
    """Return the device of the interface, if it exists, and the routes, as far as visible.

    Sets the surroundings of ``guarding``.
    """
    with closing(open_routes()) as routes:
        table = read_routes(routes, link)
    with closing(open_netlink()) as netlink:
        elsewhere = read_addresses(netlink, None if link is None else link.index)
    guarding.here = surroundings(table, elsewhere)
    device = DeviceState()
    if link is not None:
        with suppress(KgctlError):
            found = open_device(link)
            if found is not None:
                with closing(found):
                    device = found.read()
    return device, table


def _target(options: Options, identity: Identity, wanted: Wanted, names: Names) -> DeviceState:
    """Return the wanted state of the device, after resolving names."""
    synchroniser = Synchroniser(identity.private_key, options.listen_port, names)
    synchroniser.target(wanted)
    names.settle(_NAMES_SECONDS)
    return synchroniser.target(wanted)
