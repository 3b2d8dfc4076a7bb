"""WireGuard's cross-platform userspace protocol: parsing answers, writing requests.

Format: https://www.wireguard.com/xplatform/ ("Configuration Protocol").
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.key import KEY_BYTES, NO_KEY, PresharedKey, PublicKey
from kgctl.wireguard.device import DevicePeer, DeviceState
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.wireguard.device import DeviceChange, PeerChange

GET = "get=1\n\n"
"""The request for the whole state."""


class UapiError(KgctlError):
    """A userspace WireGuard sent an invalid answer, or refused a request."""


def read_state(text: str) -> DeviceState:
    """Parse the answer to ``GET``.

    Raises:
        UapiError: the answer is invalid, or reports an error.
    """
    reader = _Reader()
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            try:
                reader.take(key, value)
            except ValueError:
                raise UapiError(f'the userspace WireGuard sent an unreadable "{key}"') from None
    return reader.state()


def check(text: str) -> None:
    """Check the answer to a change.

    Raises:
        UapiError: the device refused it; the message has its errno.
    """
    for line in text.splitlines():
        if line.startswith("errno=") and line != "errno=0":
            code = line.removeprefix("errno=").lstrip("-")
            reason = os.strerror(int(code)) if code.isdigit() and len(code) < 6 else "no errno"
            raise UapiError(f"the userspace WireGuard refused a change: {reason} (errno {code})")
    if "errno=0" not in text:
        raise UapiError("the userspace WireGuard hung up before it answered")


def write_change(change: DeviceChange) -> str:
    """Return the request for ``change``. It holds secrets if the change does.

    To drop an allowed IP, the request moves it to a temporary peer and removes that peer. The
    alternative, replacing all allowed IPs of its peer, would lose packets in between.
    """
    return "".join(f"{key}={value}\n" for key, value in _lines(change)) + "\n"


def _lines(change: DeviceChange) -> Iterator[tuple[str, object]]:
    yield "set", 1
    if change.private_key is not None:
        yield "private_key", change.private_key.raw.hex()
    if change.listen_port is not None:
        yield "listen_port", change.listen_port
    for peer in change.peers:
        yield from _peer_lines(peer)
    for peer in change.renew:
        yield "public_key", peer.public_key.raw.hex()
        yield "remove", "true"
        yield from _peer_lines(peer)
    if change.drop_allowed_ips:
        stand_in = os.urandom(KEY_BYTES).hex()
        yield "public_key", stand_in
        for cidr in change.drop_allowed_ips:
            yield "allowed_ip", cidr
        yield "public_key", stand_in
        yield "remove", "true"
    for key in change.remove:
        yield "public_key", key.raw.hex()
        yield "remove", "true"


def _peer_lines(peer: PeerChange) -> Iterator[tuple[str, object]]:
    yield "public_key", peer.public_key.raw.hex()
    if not peer.new:
        yield "update_only", "true"
    if peer.preshared_key is not None:
        yield "preshared_key", peer.preshared_key.raw.hex()
    elif peer.drop_preshared_key:
        yield "preshared_key", NO_KEY.hex()
    if peer.endpoint is not None:
        yield "endpoint", peer.endpoint
    if peer.persistent_keepalive is not None:
        yield "persistent_keepalive_interval", peer.persistent_keepalive
    for cidr in peer.add_allowed_ips:
        yield "allowed_ip", cidr


class _Reader:
    """A line-by-line parser of an answer."""

    def __init__(self) -> None:
        self._state = DeviceState()
        self._peers: list[DevicePeer] = []
        self._allowed: list[str] = []
        self._done = False

    def take(self, key: str, value: str) -> None:
        """Take one line; raise ValueError if the value does not fit the key."""
        if key == "errno":
            check(f"errno={value}")
            self._done = True
        elif key == "public_key":
            self._finish_peer()
            self._peers.append(DevicePeer(public_key=PublicKey(_key(value))))
        elif self._peers:
            self._take_of_peer(key, value)
        elif key == "private_key":
            raw = _key(value)
            self._state = replace(
                self._state, private_key=None if raw == NO_KEY else PrivateKey(raw)
            )
        elif key == "listen_port":
            self._state = replace(self._state, listen_port=int(value))
        elif key == "fwmark":
            self._state = replace(self._state, fwmark=int(value, 0))

    def _take_of_peer(self, key: str, value: str) -> None:
        peer = self._peers[-1]
        if key == "preshared_key":
            raw = _key(value)
            peer = replace(peer, preshared_key=None if raw == NO_KEY else PresharedKey(raw))
        elif key == "endpoint":
            peer = replace(peer, endpoint=_endpoint(value))
        elif key == "allowed_ip":
            self._allowed.append(value)
        elif key == "persistent_keepalive_interval":
            peer = replace(peer, persistent_keepalive=int(value))
        elif key == "rx_bytes":
            peer = replace(peer, received=int(value))
        elif key == "tx_bytes":
            peer = replace(peer, sent=int(value))
        elif key == "last_handshake_time_sec":
            peer = replace(peer, last_handshake=peer.last_handshake + int(value))
        elif key == "last_handshake_time_nsec":
            peer = replace(peer, last_handshake=peer.last_handshake + int(value) / 1e9)
        self._peers[-1] = peer

    def _finish_peer(self) -> None:
        if self._peers:
            allowed = frozenset(filter(None, map(parse_cidr, self._allowed)))
            self._peers[-1] = replace(self._peers[-1], allowed_ips=allowed)
        self._allowed.clear()

    def state(self) -> DeviceState:
        """Return the state, if the answer was complete."""
        self._finish_peer()
        if not self._done:
            raise UapiError("the userspace WireGuard hung up before it answered")
        return replace(self._state, peers=_by_key(self._peers))


def _by_key(peers: Iterable[DevicePeer]) -> dict[PublicKey, DevicePeer]:
    return {peer.public_key: peer for peer in peers}


def _key(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != KEY_BYTES:
        raise ValueError(text)
    return raw


def _endpoint(text: str) -> Endpoint | None:
    """Parse ``address:port`` without the zone of a link-local address, which is local."""
    host, percent, rest = text.partition("%")
    return parse_endpoint(host + rest[rest.index("]") :] if percent else text)
