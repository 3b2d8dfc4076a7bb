"""Conversion of a ``[Peer]`` section to a Peer object of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.kilo import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.mesh.endpoint import Endpoint
    from kgctl.wireguard.conf import PeerSection


def peer_object(name: str, peer: PeerSection) -> dict[str, Any]:
    """Return the Peer object without absent fields; the keepalive is in seconds."""
    spec: dict[str, Any] = {"allowedIPs": [str(cidr) for cidr in peer.allowed_ips]}
    if peer.endpoint is not None:
        spec["endpoint"] = endpoint_object(peer.endpoint)
    if peer.persistent_keepalive:
        spec["persistentKeepalive"] = peer.persistent_keepalive
    if peer.preshared_key is not None:
        spec["presharedKey"] = peer.preshared_key.reveal()
    spec["publicKey"] = str(peer.public_key)
    return {
        "apiVersion": API_VERSION,
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": spec,
    }


def endpoint_object(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint as in a Peer object; a DNS name stays a name."""
    address = endpoint.address
    target = {"dns": endpoint.host} if address is None else {"ip": str(address)}
    return {"dnsOrIP": target, "port": endpoint.port}


class ManifestFormat(NamedTuple):
    """A format of Kubernetes objects; ``write`` returns the text of one."""

    name: str
    write: Callable[[object], str]


def _yaml(value: object) -> str:
    from kgctl.kube.codec.structured import to_yaml

    return to_yaml(value)


def _json(value: object) -> str:
    from kgctl.kube.codec.structured import to_json

    return to_json(value)


MANIFEST_FORMATS = (ManifestFormat("yaml", _yaml), ManifestFormat("json", _json))
"""All formats of a printed Peer object."""
