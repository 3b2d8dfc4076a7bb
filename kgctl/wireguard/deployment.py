"""The change that gives a machine its new wg-quick file, planned from what the machine has.

A running tunnel is changed in place, so that sessions survive, as ``wg syncconf`` is meant to do.
But that keeps a preshared key that is gone from the file, and resets a mark that the file does not
name (``findings/wg-syncconf-*``). So each changed peer is given with all of its values to ``wg
addconf``, which touches no other peer. Addresses, the MTU and routes, which only ``wg-quick up``
sets, are steps of their own. What wg-quick alone can do takes a restart.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.wireguard.conf import Configuration, Interface, PeerSection
from kgctl.wireguard.device import (
    SESSION_SECONDS,
    DevicePeer,
    DeviceState,
    PeerChange,
    device_change,
    wanted_peers,
)
from kgctl.wireguard.drift import Kind, drift
from kgctl.wireguard.parse import QUICK_KEYS, parse_configuration, sections

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.wireguard.drift import Drift
    from kgctl.wireguard.dump import Device

_BY_RESTART = {
    "table": "Table",
    "fwmark": "FwMark",
    "dns": "DNS",
    "preup": "PreUp",
    "postup": "PostUp",
    "predown": "PreDown",
    "postdown": "PostDown",
    "saveconfig": "SaveConfig",
}
"""Keys of wg-quick, in lower case, whose change takes a restart."""
_LABEL = "its file"
_OF_SESSIONS = (Kind.ENDPOINT, Kind.ROAMED, Kind.HANDSHAKE, Kind.BESIDES)


class DeploymentError(KgctlError):
    """The machine is in a state in which its file must not be replaced; the message says which."""


class Method(StrEnum):
    """How the new file comes into effect."""

    NOTHING = "nothing"
    FILE = "file"
    LIVE = "live"
    START = "start"
    RESTART = "restart"


class Present(NamedTuple):
    """What a machine has: its file without the private key, that key's public key, its device.

    ``text`` is None if there is no file, ``key`` if the file has no private key, ``device`` if the
    tunnel is down.
    """

    text: str | None = None
    key: PublicKey | None = None
    device: Device | None = None


class PeerDifference(NamedTuple):
    """What changes about a peer: its key, ``added``, ``removed`` or ``changed``, and details."""

    key: PublicKey
    change: str
    details: tuple[str, ...] = ()


class Plan(NamedTuple):
    """The change of a machine.

    ``others`` are differences besides peers, in words. ``reasons`` are what takes a restart.
    ``steps`` are verbs of ``kgctl/remote/machine.sh`` with a value, and ``peers_file`` is the input
    of ``wg addconf``; both are for ``Method.LIVE``. ``table`` is the routing table for the routes.
    """

    method: Method
    peers: tuple[PeerDifference, ...] = ()
    others: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    peers_file: Configuration = Configuration()
    table: str = ""


def plan(present: Present, wanted: Configuration, key: PublicKey, now: float) -> Plan:
    """Return the change to the file ``wanted`` of the machine with ``key``, at ``now`` (Unix s).

    If ``wanted`` has no private key, the machine keeps the one of its file.

    Raises:
        DeploymentError: the machine must not be changed.
        kgctl.wireguard.parse.ConfigurationError: the file on the machine is invalid.
    """
    assert wanted.interface is not None  # it is a whole file
    _check(present, wanted.interface, key)
    old, was = _parsed(present.text)
    _, new = _parsed(str(wanted))
    change = _Change(present, old, wanted, key, now)
    reasons = tuple(_reasons(was, new, old, wanted)) if present.text is not None else ()
    others = tuple(change.others())
    peers = change.peer_differences()
    same = present.text is not None and same_file(present.text, wanted)
    if present.device is None:
        return Plan(Method.START, peers, others)
    if reasons:
        return Plan(Method.RESTART, peers, others, reasons)
    steps, peers_file = change.steps()
    if not steps:
        return Plan(Method.NOTHING if same else Method.FILE, peers, others)
    table = wanted.interface.table or ""
    return Plan(
        Method.LIVE, peers, others, (), steps, peers_file, "" if table in ("auto", "off") else table
    )


def same_file(text: str, wanted: Configuration) -> bool:
    """Return whether a file without its private key has the text of the wanted one."""
    return _without_private_key(text) == _without_private_key(str(wanted))


def _without_private_key(text: str) -> list[str]:
    """Return the lines that cannot hold a private key, as ``kgctl/remote/machine.sh`` does."""
    lines = text.strip("\n").split("\n")
    return [one for one in lines if "privatekey=" not in "".join(one.lower().split())]


def unfulfilled(device: Device, wanted: Configuration, key: PublicKey, now: float) -> list[Drift]:
    """Return what a device lacks after a change; sessions and endpoints come and go."""
    return [one for one in drift(device, wanted, key, now) if one.kind not in _OF_SESSIONS]


def _check(present: Present, interface: Interface, key: PublicKey) -> None:
    if present.text is None and present.device is not None:
        raise DeploymentError(
            "the interface is up without a file of wg-quick, so something else manages it: take it "
            "down there first"
        )
    if interface.private_key is not None or present.key == key:
        return
    if present.key is None:
        raise DeploymentError(
            "its private key is neither in the folder nor on the machine: write it there first, as "
            "PrivateKey = ... below [Interface], into its file"
        )
    raise DeploymentError(
        f"the private key in its file belongs to {present.key}, and the network has {key} for it: "
        "set that key for the machine, or write the right private key into the file"
    )


Settings = dict[str, list[str]]
"""The values of each key of the ``[Interface]`` section, in lower case."""


def _parsed(text: str | None) -> tuple[Configuration, Settings]:
    if text is None:
        return Configuration(), {}
    found = parse_configuration(text, _LABEL, passing_over=_PASSED_OVER)
    settings: Settings = {}
    for section, _, lines in sections(text, _LABEL):
        for line in lines if section == "interface" else ():
            settings.setdefault(line.key.lower(), []).append(line.value)
    return found, settings


_PASSED_OVER = (QUICK_KEYS | {"fwmark", "privatekey"}) - {"mtu", "table"}


def _reasons(
    was: Settings, new: Settings, old: Configuration, wanted: Configuration
) -> Iterator[str]:
    """Yield what takes a restart."""
    for key, name in _BY_RESTART.items():
        if was.get(key) != new.get(key):
            yield f"{name} differs"
    if old.interface is not None and old.interface.mtu != _of(wanted).mtu is None:
        yield "MTU becomes automatic"
    before, after = (
        {str(cidr) for cidr in _networks(one.peers) if not cidr.prefix} for one in (old, wanted)
    )
    if before != after and _of(wanted).table in (None, "auto"):
        yield "a default route differs"


def _of(configuration: Configuration) -> Interface:
    return configuration.interface or Interface()


def _networks(peers: Iterable[PeerSection]) -> Iterator[Cidr]:
    for section in peers:
        yield from (cidr.masked() for cidr in section.allowed_ips)


class _Change:
    """The differences between what a machine has and the wanted file."""

    def __init__(
        self,
        present: Present,
        old: Configuration,
        wanted: Configuration,
        key: PublicKey,
        now: float,
    ) -> None:
        self._old, self._wanted = old, wanted
        self._device, self._key = present.device, key
        self._given = {
            section.public_key: section.endpoint
            for section in old.peers
            if section.endpoint is not None
        }
        self._before = self._present_state(old)
        interface = _of(wanted)
        self._after = DeviceState(
            listen_port=interface.listen_port or 0,
            peers=wanted_peers(wanted.peers, self._endpoints(), key),
        )
        change = device_change(self._before, self._after, given=self._given, now=now)
        self._change, self._changes = change, {one.public_key: one for one in change.peers}
        self._renewed = set(self._silenced(now))

    def _present_state(self, old: Configuration) -> DeviceState:
        """Return the state of the device; if it is down, the one that the file makes."""
        if self._device is None:
            return DeviceState(
                listen_port=_of(old).listen_port or 0,
                peers=wanted_peers(old.peers, self._given, self._key),
            )
        peers = {
            one.public_key: DevicePeer(
                public_key=one.public_key,
                preshared_key=one.preshared_key,
                endpoint=one.endpoint,
                allowed_ips=frozenset(cidr.masked() for cidr in one.allowed_ips),
                persistent_keepalive=one.keepalive,
                last_handshake=one.latest_handshake or 0.0,
            )
            for one in self._device.peers
        }
        return DeviceState(listen_port=self._device.listen_port or 0, peers=peers)

    def _endpoints(self) -> Mapping[PublicKey, Endpoint]:
        """Return the endpoints to dial.

        A device knows no names: a name that stays the same keeps the address that it had.
        """
        found: dict[PublicKey, Endpoint] = {}
        for section in self._wanted.peers:
            endpoint, key = section.endpoint, section.public_key
            if endpoint is None:
                continue
            before = self._before.peers.get(key)
            known = before.endpoint if before is not None else None
            stays = endpoint.address is None and self._given.get(key) == endpoint
            found[key] = known if stays and known is not None else endpoint
        return found

    def _silenced(self, now: float) -> Iterator[PublicKey]:
        """Yield the peers that lose the endpoint of their file, and have no session.

        WireGuard cannot take an endpoint away: such a peer is removed and added again.
        """
        for key, peer in self._after.peers.items():
            before = self._before.peers.get(key)
            if before is None or before.endpoint is None or key not in self._given:
                continue
            given = self._given[key]
            configured = given.address is None or given == before.endpoint
            silent = now - before.last_handshake > SESSION_SECONDS
            if peer.endpoint is None and configured and silent:
                yield key

    def peer_differences(self) -> tuple[PeerDifference, ...]:
        """Return the differences of peers: added, changed, removed."""
        found = []
        for key, peer in self._after.peers.items():
            before = self._before.peers.get(key)
            if before is None:
                found.append(PeerDifference(key, "added", (_listed(peer.allowed_ips),)))
                continue
            details = tuple(self._details(key, before, peer))
            if details:
                found.append(PeerDifference(key, "changed", details))
        for key in self._change.remove:
            allowed = self._before.peers[key].allowed_ips
            found.append(PeerDifference(key, "removed", (_listed(allowed),)))
        return tuple(found)

    def _details(self, key: PublicKey, before: DevicePeer, peer: DevicePeer) -> Iterator[str]:
        change = self._changes.get(key, PeerChange(public_key=key))
        more, less = peer.allowed_ips - before.allowed_ips, before.allowed_ips - peer.allowed_ips
        if more or less:
            signed = [f"+{one}" for one in _sorted(more)] + [f"-{one}" for one in _sorted(less)]
            yield f"allowed IPs {' '.join(signed)}"
        if change.endpoint is not None or key in self._renewed:
            yield f"endpoint {before.endpoint or 'none'} -> {change.endpoint or 'none'}"
        if change.persistent_keepalive is not None:
            yield f"keepalive {before.persistent_keepalive} -> {change.persistent_keepalive}"
        if change.preshared_key is not None:
            yield "preshared key set"
        if change.drop_preshared_key:
            yield "preshared key removed"

    def others(self) -> Iterator[str]:
        """Yield the differences besides peers, in words."""
        if self._device is not None and self._device.public_key != self._key:
            yield f"key {self._device.public_key or 'none'} -> {self._key}"
        if self._port is not None:
            yield f"listen port {self._before.listen_port or 'none'} -> {self._port}"
        less, more = self._addresses
        if less or more:
            signed = [f"+{one}" for one in more] + [f"-{one}" for one in less]
            yield f"addresses {' '.join(signed)}"
        before, after = _of(self._old).mtu, _of(self._wanted).mtu
        if before != after:
            yield f"MTU {before or 'automatic'} -> {after or 'automatic'}"

    @property
    def _port(self) -> int | None:
        """The port to set, or None; without a wanted port, the device keeps its own."""
        wanted = _of(self._wanted).listen_port
        return wanted if wanted not in (None, self._before.listen_port) else None

    @property
    def _addresses(self) -> tuple[list[str], list[str]]:
        """The addresses to remove and to add, by the old and the new file."""
        before, after = (
            [str(cidr) for cidr in _of(one).addresses] for one in (self._old, self._wanted)
        )
        return (
            [one for one in before if one not in after],
            [one for one in after if one not in before],
        )

    def steps(self) -> tuple[tuple[tuple[str, str], ...], Configuration]:
        """Return the steps that change the device, and the input of ``wg addconf`` in them."""
        peers_file = self._peers_file()
        steps = [("remove", str(key)) for key in (*self._change.remove, *self._renewed)]
        if peers_file != Configuration():
            steps.append(("peers", ""))
        for key, change in self._changes.items():
            if change.drop_preshared_key and key not in self._renewed:
                steps.append(("drop-preshared-key", str(key)))
        interface = _of(self._wanted)
        if self._is_rekeyed and interface.private_key is None:
            steps.append(("private-key", ""))
        steps += self._link_steps()
        return tuple(steps), peers_file

    @property
    def _is_rekeyed(self) -> bool:
        return self._device is not None and self._device.public_key != self._key

    def _peers_file(self) -> Configuration:
        """Return each changed peer with all of its values, and the changed key and port."""
        wanted, private_key = self._after.peers, _of(self._wanted).private_key
        changed = {
            key
            for key, peer in wanted.items()
            if key in self._changes
            or key in self._renewed
            or peer.allowed_ips != self._before.peers[key].allowed_ips
        }
        peers = tuple(
            PeerSection(
                public_key=key,
                allowed_ips=tuple(_sorted(peer.allowed_ips)),
                endpoint=self._changes[key].endpoint if key in self._changes else None,
                persistent_keepalive=peer.persistent_keepalive,
                preshared_key=peer.preshared_key,
            )
            for key, peer in wanted.items()
            if key in changed
        )
        interface = Interface(
            private_key=private_key if self._is_rekeyed else None, listen_port=self._port
        )
        return Configuration(None if interface == Interface() else interface, peers)

    def _link_steps(self) -> Iterator[tuple[str, str]]:
        """Yield the steps for addresses, MTU and routes.

        Linux removes the routes of an interface with its last address, and with an address others
        of its network: new ones come first, and after a removal all are set again.
        """
        less, more = self._addresses
        interface = _of(self._wanted)
        yield from (("address-add", one) for one in more)
        yield from (("address-del", one) for one in less)
        if less:
            yield from (("address-add", str(one)) for one in interface.addresses)
        if interface.mtu is not None and interface.mtu != _of(self._old).mtu:
            yield "mtu", str(interface.mtu)
        if interface.table != "off":
            yield from self._route_steps(anew=bool(less))

    def _route_steps(self, *, anew: bool) -> Iterator[tuple[str, str]]:
        """Yield the steps for routes, which wg-quick makes of all allowed IPs.

        A network of an own address has a route of its own. Default routes take a restart. ``anew``
        sets those that stay as well.
        """
        own = {cidr.masked() for cidr in _of(self._wanted).addresses}
        in_file = set(_networks(self._old.peers))
        on_device: set[Cidr] = set()
        for peer in self._before.peers.values():
            on_device |= peer.allowed_ips
        wanted: set[Cidr] = set()
        for peer in self._after.peers.values():
            wanted |= peer.allowed_ips
        for verb, networks in (
            ("route-del", (in_file | on_device) - wanted),
            ("route-add", wanted - (set() if anew else in_file & on_device)),
        ):
            for one in _sorted(networks):
                if one.prefix and one not in own:
                    yield verb, str(one)


def _sorted(networks: Iterable[Cidr]) -> list[Cidr]:
    return sorted(networks, key=lambda one: (one.version, one.network_value, one.prefix))


def _listed(networks: Iterable[Cidr]) -> str:
    return ", ".join(map(str, _sorted(networks))) or "no allowed IPs"
