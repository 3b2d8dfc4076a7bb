"""WireGuard devices of the kernel, through its generic netlink family.

Protocol: include/uapi/linux/wireguard.h of Linux.
"""

from __future__ import annotations

import errno
import os
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from kgctl.host.netlink import told
from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import KEY_BYTES, NO_KEY, PresharedKey, PublicKey, encode_key
from kgctl.wireguard.device import DevicePeer, DeviceState
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kgctl.wireguard.device import DeviceChange, PeerChange

_AT_ONCE = 500  # allowed IPs in one message: an attribute of netlink holds 64 KiB
_NOBODY = encode_key(NO_KEY)


class KernelDevice:
    """The kernel's WireGuard device of a link; a ``Device``."""

    def __init__(self, name: str) -> None:
        from pyroute2.netlink.generic.wireguard import WireGuard

        self._name = name
        with told("connect to the kernel's WireGuard"):
            self._netlink = WireGuard()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def read(self) -> DeviceState:
        """Return the state; see ``Device``."""
        with told(f"read the WireGuard device {self._name}"):
            messages = list(self._netlink.info(self._name))
        return state_of(messages)

    def apply(self, change: DeviceChange) -> None:
        """Apply a change, with one message per peer; see ``Device``."""
        for settings in requests(change):
            port = settings.get("listen_port")
            at = "" if port is None else f" to listen at UDP port {port}"
            with told(f"configure the WireGuard device {self._name}{at}"):
                self._set(settings)

    def _set(self, settings: dict[str, Any]) -> None:
        try:
            self._netlink.set(self._name, **settings)
        except Exception as error:
            # a peer to update, but not to create, may have been removed meanwhile
            if getattr(error, "code", 0) != errno.ENOENT:
                raise


def requests(change: DeviceChange) -> Iterator[dict[str, Any]]:
    """Yield the arguments of pyroute2's ``WireGuard.set`` that apply ``change``.

    An allowed IP is dropped by moving it to a stand-in peer that is then removed; see ``uapi``.
    """
    own: dict[str, Any] = {}
    if change.private_key is not None:
        own["private_key"] = change.private_key.reveal()
    if change.listen_port is not None:
        own["listen_port"] = change.listen_port
    if own:
        yield own
    for peer in change.peers:
        yield from _peer_requests(peer)
    for peer in change.renew:
        yield {"peer": {"public_key": str(peer.public_key), "remove": True}}
        yield from _peer_requests(peer)
    if change.drop_allowed_ips:
        stand_in = encode_key(os.urandom(KEY_BYTES))
        for cidrs in _portions(change.drop_allowed_ips):
            yield {"peer": {"public_key": stand_in, "allowed_ips": cidrs}}
        yield {"peer": {"public_key": stand_in, "remove": True}}
    for key in change.remove:
        yield {"peer": {"public_key": str(key), "remove": True}}


def _peer_requests(change: PeerChange) -> Iterator[dict[str, Any]]:
    peer: dict[str, Any] = {"public_key": str(change.public_key)}
    if not change.new:
        peer["update_only"] = True
    first, *others = _portions(change.add_allowed_ips) or [[]]
    settings: dict[str, Any] = {}
    if change.preshared_key is not None:
        settings["preshared_key"] = change.preshared_key.reveal()
    elif change.drop_preshared_key:
        settings["preshared_key"] = _NOBODY
    if change.endpoint is not None:
        settings["endpoint_addr"] = str(change.endpoint.host)
        settings["endpoint_port"] = change.endpoint.port
    if change.persistent_keepalive is not None:
        settings["persistent_keepalive"] = change.persistent_keepalive
    if first:
        settings["allowed_ips"] = first
    yield {"peer": peer | settings}
    for cidrs in others:
        yield {"peer": peer | {"allowed_ips": cidrs}}


def _portions(cidrs: Sequence[Cidr]) -> list[list[str]]:
    texts = list(map(str, cidrs))
    return [texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE)]


def state_of(messages: Iterable[Any]) -> DeviceState:
    """Return the state from the messages of ``WG_CMD_GET_DEVICE``.

    A device with many peers takes several messages; a peer that does not fit into one continues in
    the next, with the rest of its allowed IPs.
    """
    private_key, port, mark = None, 0, 0
    peers: dict[PublicKey, DevicePeer] = {}
    for message in messages:
        raw = _raw(message.get_attr("WGDEVICE_A_PRIVATE_KEY"))
        private_key = private_key or (PrivateKey(raw) if raw else None)
        port = message.get_attr("WGDEVICE_A_LISTEN_PORT") or port
        mark = message.get_attr("WGDEVICE_A_FWMARK") or mark
        for one in message.get_attr("WGDEVICE_A_PEERS") or ():
            peer = _peer(one, peers)
            if peer is not None:
                peers[peer.public_key] = peer
    return DeviceState(private_key=private_key, listen_port=port, fwmark=mark, peers=peers)


def _peer(message: Any, known: dict[PublicKey, DevicePeer]) -> DevicePeer | None:
    raw = _raw(message.get_attr("WGPEER_A_PUBLIC_KEY"))
    if raw is None:
        return None
    key = PublicKey(raw)
    allowed = frozenset(_allowed_ips(message.get_attr("WGPEER_A_ALLOWEDIPS") or ()))
    before = known.get(key)
    if before is not None:
        from dataclasses import replace

        return replace(before, allowed_ips=before.allowed_ips | allowed)
    preshared = _raw(message.get_attr("WGPEER_A_PRESHARED_KEY"))
    return DevicePeer(
        public_key=key,
        preshared_key=PresharedKey(preshared) if preshared else None,
        endpoint=_endpoint(message.get_attr("WGPEER_A_ENDPOINT")),
        allowed_ips=allowed,
        persistent_keepalive=message.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or 0,
        last_handshake=_seconds(message.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")),
        received=message.get_attr("WGPEER_A_RX_BYTES") or 0,
        sent=message.get_attr("WGPEER_A_TX_BYTES") or 0,
    )


def _raw(attribute: Any) -> bytes | None:
    """Return the bytes of a key from pyroute2; None if it is absent or all zero."""
    if attribute is None:
        return None
    raw = b64decode(attribute["value"] if isinstance(attribute, dict) else attribute)
    return None if raw == NO_KEY or len(raw) != KEY_BYTES else raw


def _endpoint(attribute: Any) -> Endpoint | None:
    if attribute is None:
        return None
    address = parse_address(attribute["addr"])
    return None if address is None else Endpoint(address, attribute["port"])


def _allowed_ips(attributes: Iterable[Any]) -> Iterator[Cidr]:
    for attribute in attributes:
        cidr = parse_cidr(attribute["addr"])
        if cidr is not None:
            yield cidr


def _seconds(attribute: Any) -> float:
    return 0.0 if attribute is None else attribute["tv_sec"] + attribute["tv_nsec"] / 1e9
