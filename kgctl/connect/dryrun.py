"""What ``kgctl connect`` would do, without doing it."""

from __future__ import annotations

import shlex
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from kgctl.connect.commands import (
    device_commands,
    link_commands,
    peer_commands,
    route_commands,
    route_notes,
)
from kgctl.connect.guarding import Guarding
from kgctl.connect.identity import establish
from kgctl.connect.network import wanted_of
from kgctl.connect.outside import Servers, dialled
from kgctl.connect.sharing import shared_addresses
from kgctl.connect.synchroniser import Synchroniser, plan_routes
from kgctl.host import resolver
from kgctl.host.links import Links
from kgctl.host.names import Names
from kgctl.host.netlink import open_netlink
from kgctl.host.record import RecordFile
from kgctl.host.routes import read_routes
from kgctl.host.surroundings import read_addresses, surroundings
from kgctl.host.tunnel import Tunnel, open_device
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.peer import Peer
from kgctl.mesh.policy import summaries, unknown_names
from kgctl.state.objects import state_of
from kgctl.wireguard.device import DeviceState, device_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.connect.identity import Identity
    from kgctl.connect.interface import Cluster, Options
    from kgctl.connect.network import Wanted
    from kgctl.host.interface import RouteTable
    from kgctl.host.record import Record
    from kgctl.mesh.state import State

_NAMES_SECONDS = 5.0


def commands(
    options: Options, cluster: Cluster, worded: Callable[[object], str] = str
) -> Iterator[str]:
    """Yield the commands, and as comments what is no command, in order; ``worded`` words it.

    Raises:
        KgctlError: the cluster cannot be read, or connecting would fail for what is in it.
    """
    identity = _identity(options, cluster)
    names = Names(lambda: None)
    servers = Servers(cluster.host(), names)
    guarding = Guarding(options, servers)
    exists, present, table = _present(options.interface, guarding)
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
        options.interface, exists=exists, mtu=options.mtu, addresses=identity.addresses
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
    outside = dialled(target) | dialled(present) | guarding.outside()
    planned = plan_routes(table, wanted.routes, outside)
    yield from route_notes(planned.passage.excluded, planned.taken)
    yield from route_commands(options.interface, planned.change, identity.addresses)
    for argv in resolver.commands(options.interface, options.dns, options.search_domains):
        yield shlex.join(argv)


def _identity(options: Options, cluster: Cluster) -> Identity:
    record, leftover = _left(options.interface)
    return establish(options, cluster.peers(), record, leftover)


def _left(interface: str) -> tuple[Record | None, DeviceState | None]:
    """Return what another kgctl has left, as far as it can be seen without privileges."""
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
    """Return the state with our Peer in it."""
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


def _present(interface: str, guarding: Guarding) -> tuple[bool, DeviceState, RouteTable]:
    """Return whether the interface is there, its device, and routes, as far as they show.

    ``guarding`` learns what is here besides.
    """
    with closing(Links()) as links:
        link = links.find(interface)
    with closing(open_netlink()) as netlink:
        table = read_routes(netlink, link)
        elsewhere = read_addresses(netlink, None if link is None else link.index)
    guarding.here = surroundings(table, elsewhere)
    device = DeviceState()
    if link is not None:
        with suppress(KgctlError):
            found = open_device(link)
            if found is not None:
                with closing(found):
                    device = found.read()
    return link is not None, device, table


def _target(options: Options, identity: Identity, wanted: Wanted, names: Names) -> DeviceState:
    """Return what the device is to be, when all names are known."""
    synchroniser = Synchroniser(identity.private_key, options.listen_port, names)
    synchroniser.target(wanted)
    names.settle(_NAMES_SECONDS)
    return synchroniser.target(wanted)
