"""WireGuard's cross-platform userspace protocol: parsing answers, writing requests.

Format: https://www.wireguard.com/xplatform/ ("Configuration Protocol").
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import in_zone, parse_cidr
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.key import KEY_BYTES, NO_KEY, PresharedKey, PublicKey
from kgctl.mesh.peer import KEEPALIVES
from kgctl.wireguard.device import FWMARKS, LISTEN_PORTS, DevicePeer, DeviceState
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.wireguard.device import DeviceChange, PeerChange

GET = "get=1\n\n"
"""The request for the whole state."""


class UapiError(KgctlError):
    """A userspace WireGuard sent an invalid answer, or refused a request.

    ``code`` is the errno of a refusal, or 0.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def read_state(text: str) -> DeviceState:
    """Parse the answer to ``GET``.

    Raises:
        UapiError: the answer is invalid, or reports an error.
    """
    return StateReader().read(text)


class StateReader:
    """Parses successive answers to ``GET`` as ``read_state`` does, and faster from the second on.

    A device with many peers is read often, and mostly their counters change. So the settings of a
    peer are parsed once: as long as their text is the same, only the counters are read, and a peer
    whose counters are the same as well stays the same object.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[str, ...], DevicePeer]] = {}

    def read(self, text: str) -> DeviceState:
        """Parse an answer.

        Raises:
            UapiError: the answer is invalid, or reports an error.
        """
        head, *sections = f"\n{text}".split("\npublic_key=")
        reader = _Reader()
        reader.take_lines(head)
        known, self._known = self._known, {}
        for section in sections:
            found = _COUNTERS.search(section)
            if found is None:  # another program may send them in another order, or not at all
                reader.take_section(section)
                continue
            counters = found.groups()
            settings = section[: found.start()] + section[found.end() :]
            before = known.get(settings)
            if before is not None:
                if before[0] != counters:
                    before = counters, _counted(before[1], *counters)
                self._known[settings] = before
                reader.add(before[1])
                continue
            peer = reader.take_section(section)
            if peer is not None and not _COUNTER.search(settings):
                self._known[settings] = counters, peer
        return reader.state()


_COUNTERS = re.compile(
    r"\nlast_handshake_time_sec=([0-9]{1,15})\nlast_handshake_time_nsec=([0-9]{1,9})"
    r"\ntx_bytes=([0-9]{1,20})\nrx_bytes=([0-9]{1,20})(?=\n)"
)
"""The counters of a peer as wireguard-go sends them: between its endpoint and its keepalive."""

_COUNTER = re.compile("last_handshake_time_n?sec=|[rt]x_bytes=")


def _counted(peer: DevicePeer, seconds: str, nanoseconds: str, sent: str, got: str) -> DevicePeer:
    """Return a peer with other counters; ``dataclasses.replace`` takes twice the time."""
    return DevicePeer(
        public_key=peer.public_key,
        preshared_key=peer.preshared_key,
        endpoint=peer.endpoint,
        allowed_ips=peer.allowed_ips,
        persistent_keepalive=peer.persistent_keepalive,
        last_handshake=int(seconds) + int(nanoseconds) / 1e9,
        received=int(got),
        sent=int(sent),
    )


def check(text: str) -> None:
    """Check the answer to a change.

    Raises:
        UapiError: the device refused it; the message has its errno.
    """
    for line in text.splitlines():
        if line.startswith("errno=") and line != "errno=0":
            code = line.removeprefix("errno=").lstrip("-")
            number = int(code) if code.isascii() and code.isdigit() and len(code) < 6 else 0
            reason = os.strerror(number) if number else "no errno"
            raise UapiError(
                f"the userspace WireGuard refused a change: {reason} (errno {code})", number
            )
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
    """A line-by-line parser of an answer. Each peer is made once, of all its lines."""

    def __init__(self) -> None:
        self._device: dict[str, Any] = {}
        self._peers: dict[PublicKey, DevicePeer] = {}
        self._key: PublicKey | None = None
        self._values: dict[str, Any] = {}  # of the current peer
        self._allowed: list[str] = []
        self._done = False

    def take_lines(self, text: str) -> None:
        """Take lines.

        Raises:
            UapiError: a line is invalid, or reports an error.
        """
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals:
                try:
                    self.take(key, value)
                except ValueError:
                    raise UapiError(f'the userspace WireGuard sent an unreadable "{key}"') from None
        self._finish_peer()

    def take_section(self, text: str) -> DevicePeer | None:
        """Take the lines from the value of a ``public_key`` on, and return their peer.

        It returns None if they are more than one peer, such as the end of the answer.

        Raises:
            UapiError: a line is invalid, or reports an error.
        """
        section = _Reader()
        section.take_lines(f"public_key={text}")
        self._peers |= section._peers
        self._done = self._done or section._done
        if section._done or len(section._peers) != 1:
            return None
        return next(iter(section._peers.values()))

    def add(self, peer: DevicePeer) -> None:
        """Take a peer."""
        self._peers[peer.public_key] = peer

    def take(self, key: str, value: str) -> None:
        """Take one line; raise ValueError if the value does not fit the key."""
        if key == "errno":
            check(f"errno={value}")
            self._done = True
        elif key == "public_key":
            self._finish_peer()
            self._key = PublicKey(_key(value))
        elif self._key is not None:
            self._take_of_peer(key, value)
        elif key == "private_key":
            raw = _key(value)
            self._device[key] = None if raw == NO_KEY else PrivateKey(raw)
        elif key == "listen_port":
            self._device[key] = _within(int(value), LISTEN_PORTS)
        elif key == "fwmark":
            self._device[key] = _within(int(value, 0), FWMARKS)

    def _take_of_peer(self, key: str, value: str) -> None:
        values = self._values
        if key == "preshared_key":
            raw = _key(value)
            values[key] = None if raw == NO_KEY else PresharedKey(raw)
        elif key == "endpoint":
            values[key] = _endpoint(value)
        elif key == "allowed_ip":
            self._allowed.append(value)
        elif key == "persistent_keepalive_interval":
            values["persistent_keepalive"] = _within(int(value), KEEPALIVES)
        elif key == "rx_bytes":
            values["received"] = int(value)
        elif key == "tx_bytes":
            values["sent"] = int(value)
        elif key == "last_handshake_time_sec":
            values["last_handshake"] = values.get("last_handshake", 0.0) + int(value)
        elif key == "last_handshake_time_nsec":
            values["last_handshake"] = values.get("last_handshake", 0.0) + int(value) / 1e9

    def _finish_peer(self) -> None:
        if self._key is not None:
            allowed = frozenset(filter(None, map(parse_cidr, self._allowed)))
            self._peers[self._key] = DevicePeer(
                public_key=self._key, allowed_ips=allowed, **self._values
            )
        self._key, self._values, self._allowed = None, {}, []

    def state(self) -> DeviceState:
        """Return the state, if the answer was complete."""
        if not self._done:
            raise UapiError("the userspace WireGuard hung up before it answered")
        return DeviceState(peers=self._peers, **self._device)


def _within(number: int, allowed: range) -> int:
    if number not in allowed:
        raise ValueError(number)
    return number


def _key(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != KEY_BYTES:
        raise ValueError(text)
    return raw


def _endpoint(text: str) -> Endpoint | None:
    """Parse ``address:port``; a link-local address may have a zone: ``[fe80::1%eth0]:51820``."""
    before, percent, after = text.partition("%")
    if not percent:
        return parse_endpoint(text)
    zone, _, port = after.partition("]")
    found = parse_endpoint(f"{before}]{port}")
    if found is None or found.address is None:
        return None
    return Endpoint(in_zone(found.address, zone), found.port)
