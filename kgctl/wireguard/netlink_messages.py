"""A WireGuard device in the messages of Linux's generic netlink family ``wireguard``.

Protocol: include/uapi/linux/wireguard.h of Linux; attributes are those of netlink(7), in the byte
order of the host. pyroute2 knows the family as well: it takes some 18 times as long to read a
device, sends one peer a message, and knows no zones of link-local addresses.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from kgctl.errors import HostError
from kgctl.mesh.cidr import Cidr, in_zone
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import KEY_BYTES, NO_KEY, PresharedKey, PublicKey
from kgctl.wireguard.device import DevicePeer, DeviceState
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.wireguard.device import DeviceChange, PeerChange

FAMILY = "wireguard"
"""The name of the family; its number is the kernel's choice."""
GET_DEVICE, SET_DEVICE = 0, 1
"""The commands: as a dump, the first answers with any number of messages."""
VERSION = 1
"""The version of the family."""

_HEADER = struct.Struct("=HH")  # length with this header, type
_TYPE = 0x3FFF  # the other two bits are flags: nested, and network byte order
_NESTED = 0x8000
_ALIGN = 4
_ENOUGH = 1 << 14  # bytes of peers after which a message is sent; an attribute holds 64 KiB
_AT_ONCE = 500  # allowed IPs in one peer of a message; each takes up to 40 bytes

_DEVICE_NAME, _DEVICE_PRIVATE_KEY, _DEVICE_PORT, _DEVICE_MARK, _DEVICE_PEERS = 2, 3, 6, 7, 8
_PEER_KEY, _PEER_PRESHARED, _PEER_ENDPOINT, _PEER_KEEPALIVE = 1, 2, 4, 5
_PEER_HANDSHAKE, _PEER_RECEIVED, _PEER_SENT, _PEER_ALLOWED_IPS = 6, 7, 8, 9
_PEER_FLAGS = 3
_REMOVE, _UPDATE_ONLY = 1, 4  # flags of a peer
_IP_FAMILY, _IP_ADDRESS, _IP_PREFIX = 1, 2, 3
_FAMILIES = {4: 2, 6: 10}  # AF_INET, AF_INET6

_PORT = struct.Struct("=H")
_MARK = struct.Struct("=I")
_BYTES = struct.Struct("=Q")
_TIME = struct.Struct("=qq")  # seconds, nanoseconds
_BE_PORT = struct.Struct("!H")
_IPV4_BYTES, _IPV6_BYTES = 4, 16
_FAMILY, _SCOPE = struct.Struct("=H"), struct.Struct("=I")
_SOCKADDR_IN, _SOCKADDR_IN6 = 16, 28  # sizes of the two kinds of endpoint


class MessageError(HostError):
    """A message is not one of the family's."""


def get_device(name: str) -> bytes:
    """Return the attributes that request the device of an interface."""
    return _attribute(_DEVICE_NAME, name.encode() + b"\0")


def set_device(name: str, change: DeviceChange, index_of: Callable[[str], int]) -> Iterator[bytes]:
    """Yield the attributes of the messages that apply ``change``, in their order.

    The key and the port are in the first message, and nothing else. ``index_of`` returns the number
    of the interface that is the zone of a link-local endpoint. A peer that was removed meanwhile is
    not made again. An allowed IP is dropped by moving it to a stand-in peer that is then removed:
    the protocol has no other way that leaves the rest of them alone.
    """
    head = get_device(name)
    own = b""
    if change.private_key is not None:
        own += _attribute(_DEVICE_PRIVATE_KEY, change.private_key.raw)
    if change.listen_port is not None:
        own += _attribute(_DEVICE_PORT, _PORT.pack(change.listen_port))
    if own:
        yield head + own
    peers: list[bytes] = []
    size = 0
    for number, peer in enumerate(_peers_of(change, index_of)):
        piece = _attribute(number & _TYPE | _NESTED, peer)
        if size + len(piece) > _ENOUGH and peers:
            yield head + _attribute(_DEVICE_PEERS | _NESTED, b"".join(peers))
            peers, size = [], 0
        peers.append(piece)
        size += len(piece)
    if peers:
        yield head + _attribute(_DEVICE_PEERS | _NESTED, b"".join(peers))


def _peers_of(change: DeviceChange, index_of: Callable[[str], int]) -> Iterator[bytes]:
    for peer in change.peers:
        yield from _peer_of(peer, index_of)
    for peer in change.renew:
        yield _removed(peer.public_key)
        yield from _peer_of(peer, index_of)
    if change.drop_allowed_ips:
        stand_in = PublicKey(os.urandom(KEY_BYTES))
        for portion in _portions(change.drop_allowed_ips):
            yield _attribute(_PEER_KEY, stand_in.raw) + _networks(portion)
        yield _removed(stand_in)
    for key in change.remove:
        yield _removed(key)


def _removed(key: PublicKey) -> bytes:
    return _attribute(_PEER_KEY, key.raw) + _attribute(_PEER_FLAGS, _MARK.pack(_REMOVE))


def _peer_of(change: PeerChange, index_of: Callable[[str], int]) -> Iterator[bytes]:
    who = _attribute(_PEER_KEY, change.public_key.raw)
    if not change.new:
        who += _attribute(_PEER_FLAGS, _MARK.pack(_UPDATE_ONLY))
    first, *others = _portions(change.add_allowed_ips) or [()]
    settings = b""
    if change.preshared_key is not None:
        settings += _attribute(_PEER_PRESHARED, change.preshared_key.raw)
    elif change.drop_preshared_key:
        settings += _attribute(_PEER_PRESHARED, NO_KEY)
    if change.endpoint is not None:
        settings += _attribute(_PEER_ENDPOINT, _socket_address(change.endpoint, index_of))
    if change.persistent_keepalive is not None:
        settings += _attribute(_PEER_KEEPALIVE, _PORT.pack(change.persistent_keepalive))
    yield who + settings + (_networks(first) if first else b"")
    for portion in others:
        yield who + _networks(portion)


def _portions(cidrs: Sequence[Cidr]) -> list[Sequence[Cidr]]:
    return [cidrs[start : start + _AT_ONCE] for start in range(0, len(cidrs), _AT_ONCE)]


def _networks(cidrs: Iterable[Cidr]) -> bytes:
    pieces = (
        _attribute(
            number | _NESTED,
            _attribute(_IP_FAMILY, _FAMILY.pack(_FAMILIES[cidr.version]))
            + _attribute(_IP_ADDRESS, cidr.address.packed)
            + _attribute(_IP_PREFIX, bytes([cidr.prefix])),
        )
        for number, cidr in enumerate(cidrs)
    )
    return _attribute(_PEER_ALLOWED_IPS | _NESTED, b"".join(pieces))


def _socket_address(endpoint: Endpoint, index_of: Callable[[str], int]) -> bytes:
    """Return a ``sockaddr_in`` or a ``sockaddr_in6``; a device resolves no names."""
    address = endpoint.host
    assert not isinstance(address, str)
    start = _FAMILY.pack(_FAMILIES[address.version]) + _BE_PORT.pack(endpoint.port)
    if isinstance(address, IPv4Address):
        return start + address.packed + bytes(8)
    scope = index_of(address.scope_id) if address.scope_id else 0
    return start + bytes(4) + address.packed + _SCOPE.pack(scope)


def _attribute(kind: int, value: bytes) -> bytes:
    size = _HEADER.size + len(value)
    return _HEADER.pack(size, kind) + value + bytes(-size % _ALIGN)


def read_device(messages: Iterable[bytes], name_of: Callable[[int], str] = str) -> DeviceState:
    """Return the state that the attributes of the answering messages give, in their order.

    ``name_of`` returns the name of the interface that is the zone of a link-local endpoint. A
    device with many peers takes several messages; a peer that does not fit into one continues in
    the next, with the rest of its allowed IPs.

    Raises:
        MessageError: an attribute is cut off, or has another size than the protocol says.
    """
    return DeviceReader(name_of).read(messages)


class DeviceReader:
    """Reads successive states of a device as ``read_device`` does, faster from the second on.

    A device with many peers is read often, and mostly their counters change. So the allowed IPs and
    the endpoint of a peer, which take most of the time, are read once, as long as their bytes are
    the same. Endpoints of IPv6 are read each time: the interface of a zone may get another name.
    """

    def __init__(self, name_of: Callable[[int], str] = str) -> None:
        self._name_of = name_of
        self._networks: dict[bytes, frozenset[Cidr]] = {}
        self._networks_before = self._networks
        self._endpoints: dict[bytes, Endpoint | None] = {}
        self._endpoints_before = self._endpoints

    def read(self, messages: Iterable[bytes]) -> DeviceState:
        """Return the state.

        Raises:
            MessageError: an attribute is cut off, or has another size than the protocol says.
        """
        private_key, port, mark = None, 0, 0
        peers: dict[PublicKey, DevicePeer] = {}
        self._networks_before, self._networks = self._networks, {}
        self._endpoints_before, self._endpoints = self._endpoints, {}
        try:
            for message in messages:
                for kind, value in _attributes(message):
                    if kind == _DEVICE_PRIVATE_KEY:
                        private_key = PrivateKey(value) if _is_key(value) else None
                    elif kind == _DEVICE_PORT:
                        (port,) = _PORT.unpack(value)
                    elif kind == _DEVICE_MARK:
                        (mark,) = _MARK.unpack(value)
                    elif kind == _DEVICE_PEERS:
                        for _, peer in _attributes(value):
                            self._take_peer(peer, peers)
        except struct.error as error:
            raise MessageError(
                "the kernel's WireGuard answered with a message of another form"
            ) from error
        return DeviceState(private_key=private_key, listen_port=port, fwmark=mark, peers=peers)

    def _take_peer(self, data: bytes, peers: dict[PublicKey, DevicePeer]) -> None:
        found = dict(_attributes(data))
        raw = found.get(_PEER_KEY, b"")
        if not _is_key(raw):
            return
        key = PublicKey(raw)
        allowed = self._allowed_ips(found.get(_PEER_ALLOWED_IPS, b""))
        before = peers.get(key)
        if before is not None:
            peers[key] = replace(before, allowed_ips=before.allowed_ips | allowed)
            return
        preshared = found.get(_PEER_PRESHARED, b"")
        seconds, nanoseconds = _TIME.unpack(found.get(_PEER_HANDSHAKE, bytes(_TIME.size)))
        peers[key] = DevicePeer(
            public_key=key,
            preshared_key=PresharedKey(preshared) if _is_key(preshared) else None,
            endpoint=self._endpoint(found.get(_PEER_ENDPOINT, b"")),
            allowed_ips=allowed,
            persistent_keepalive=_PORT.unpack(found.get(_PEER_KEEPALIVE, b"\0\0"))[0],
            last_handshake=seconds + nanoseconds / 1e9,
            received=_BYTES.unpack(found.get(_PEER_RECEIVED, bytes(_BYTES.size)))[0],
            sent=_BYTES.unpack(found.get(_PEER_SENT, bytes(_BYTES.size)))[0],
        )

    def _allowed_ips(self, raw: bytes) -> frozenset[Cidr]:
        allowed = self._networks_before.get(raw)
        if allowed is None:
            allowed = frozenset(_allowed_ips(raw))
        self._networks[raw] = allowed
        return allowed

    def _endpoint(self, raw: bytes) -> Endpoint | None:
        if len(raw) != _SOCKADDR_IN:
            return _endpoint(raw, self._name_of)
        if raw not in self._endpoints_before:
            self._endpoints_before[raw] = _endpoint(raw, self._name_of)
        endpoint = self._endpoints[raw] = self._endpoints_before[raw]
        return endpoint


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each attribute; raise struct.error if one is cut off."""
    at, end, read = 0, len(data), _HEADER.unpack_from
    while at < end:
        size, kind = read(data, at)
        if size < _HEADER.size or at + size > end:
            raise struct.error(size)
        yield kind & _TYPE, data[at + _HEADER.size : at + size]
        at += size + -size % _ALIGN


def _is_key(raw: bytes) -> bool:
    return len(raw) == KEY_BYTES and raw != NO_KEY


def _allowed_ips(data: bytes) -> Iterator[Cidr]:
    for _, one in _attributes(data):
        found = dict(_attributes(one))
        address, prefix = _address(found.get(_IP_ADDRESS, b"")), found.get(_IP_PREFIX, b"")
        if address is None or len(prefix) != 1 or prefix[0] > address.max_prefixlen:
            raise struct.error(len(prefix))
        yield Cidr(address, prefix[0])


def _address(raw: bytes) -> Address | None:
    if len(raw) == _IPV4_BYTES:
        return IPv4Address(raw)
    return IPv6Address(raw) if len(raw) == _IPV6_BYTES else None


def _endpoint(raw: bytes, name_of: Callable[[int], str]) -> Endpoint | None:
    """Read a ``sockaddr_in`` or a ``sockaddr_in6``; None if there is none, or its port is 0."""
    if len(raw) == _SOCKADDR_IN:
        address: Address = IPv4Address(raw[4:8])
    elif len(raw) == _SOCKADDR_IN6:
        address = IPv6Address(raw[8:24])
        (scope,) = _SCOPE.unpack_from(raw, 24)
        if scope:
            address = in_zone(address, name_of(scope))
    else:
        return None
    (port,) = _BE_PORT.unpack_from(raw, 2)
    return Endpoint(address, port) if port else None
