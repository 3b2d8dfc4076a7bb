"""Objects of mirrored services: the Service and EndpointSlices that stand for a service elsewhere.

Pods of linked clusters reach one another, so a mirrored service leads to the pods themselves: it is
a Service without a selector, with EndpointSlices that hold the addresses of the pods and their
readiness. It needs neither the service network nor the kube-proxy of the other cluster, and a pod
that is not ready is left out at once.

Nothing is copied unchecked from a cluster. Addresses must lie in networks that the cluster shares,
or it could send the clients of another cluster anywhere; ports and names must be valid.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.diagnosis.containment import Lookup, Used
from kgctl.errors import ClusterError
from kgctl.kube.services import SERVICE_NAME
from kgctl.link.peers import owner_labels, slug
from kgctl.mesh.cidr import parse_address, single
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.kube.stored import Object
    from kgctl.mesh.cidr import Address, Cidr

SLICE_MANAGER_LABEL, SLICE_MANAGER = "endpointslice.kubernetes.io/managed-by", "kgctl-link"
"""The label of an EndpointSlice that keeps Kubernetes' own controllers away from it."""

MOST_ENDPOINTS = 100
"""The most endpoints of one EndpointSlice, as in Kubernetes' own slices."""

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_APP_PROTOCOL = re.compile(
    r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_MOST_PORTS = 100  # of a service, as of an EndpointSlice


class MirrorError(ClusterError):
    """A service cannot be mirrored as it is."""


class Mirrored(NamedTuple):
    """A service to mirror to other clusters; ``cluster`` is the one that has it, if named."""

    namespace: str
    name: str
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_mirrored(text: str) -> Mirrored | None:
    """Parse ``[CLUSTER=]NAMESPACE/SERVICE``; None if the text is invalid."""
    cluster, _, service = text.rpartition("=")
    namespace, slash, name = service.partition("/")
    if not slash or _LABEL.fullmatch(namespace) is None or _LABEL.fullmatch(name) is None:
        return None
    return Mirrored(namespace, name, cluster)


class Port(NamedTuple):
    """A port of a service, or of the pods behind it."""

    name: str
    protocol: str
    number: int
    application: str

    def object(self) -> Object:
        """Return the port's entry in a Service or an EndpointSlice."""
        found: Object = {"protocol": self.protocol, "port": self.number}
        if self.name:
            found["name"] = self.name
        if self.application:
            found["appProtocol"] = self.application
        return found


class Endpoint(NamedTuple):
    """A pod behind a service."""

    address: Address
    ready: bool
    hostname: str

    def object(self) -> Object:
        """Return the endpoint's entry in an EndpointSlice."""
        found: Object = {"addresses": [str(self.address)], "conditions": {"ready": self.ready}}
        if self.hostname:
            found["hostname"] = self.hostname
        return found


# --- present objects ---


def ports_of(entries: object) -> tuple[Port, ...]:
    """Return the ports of a Service's spec or of an EndpointSlice, without invalid entries."""
    found = (_port(entry) for entry in _mappings(entries)[:_MOST_PORTS])
    return tuple(sorted({port for port in found if port is not None}))


def _port(entry: Mapping[str, Any]) -> Port | None:
    number, protocol = entry.get("port"), entry.get("protocol") or "TCP"
    if type(number) is not int or not 0 < number < 1 << 16 or protocol not in _PROTOCOLS:
        return None
    name, application = entry.get("name") or "", entry.get("appProtocol") or ""
    if name and not (isinstance(name, str) and _LABEL.fullmatch(name)):
        return None
    plain = isinstance(application, str) and _APP_PROTOCOL.fullmatch(application) is not None
    return Port(name, str(protocol), number, application if plain else "")


def endpoints_of(entries: object) -> Iterator[Endpoint]:
    """Yield the endpoints of an EndpointSlice; one without a valid address is left out."""
    for entry in _mappings(entries):
        conditions = entry.get("conditions")
        ready = conditions.get("ready") if isinstance(conditions, dict) else None
        hostname = entry.get("hostname")
        named = isinstance(hostname, str) and _LABEL.fullmatch(hostname) is not None
        addresses = entry.get("addresses")
        for text in addresses if isinstance(addresses, list) else ():
            address = parse_address(text) if isinstance(text, str) else None
            if address is not None:  # by the API, an unknown readiness counts as ready
                yield Endpoint(address, ready is not False, str(hostname) if named else "")


class ServiceFacts(NamedTuple):
    """The fields of a Service that mirroring compares."""

    ports: tuple[Port, ...]
    headless: bool
    affinity: str
    not_ready_too: bool


def service_facts(service: Mapping[str, Any]) -> ServiceFacts:
    """Return the fields of a Service that mirroring compares."""
    spec = _mapping(service.get("spec"))
    return ServiceFacts(
        ports=ports_of(spec.get("ports")),
        headless=spec.get("clusterIP") == "None",
        affinity="ClientIP" if spec.get("sessionAffinity") == "ClientIP" else "None",
        not_ready_too=spec.get("publishNotReadyAddresses") is True,
    )


class SliceFacts(NamedTuple):
    """The fields of an EndpointSlice that mirroring compares."""

    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...]
    kind: object
    labels: tuple[object, ...]


def slice_facts(one: Mapping[str, Any]) -> SliceFacts:
    """Return the fields of an EndpointSlice that mirroring compares."""
    labels = _mapping(_mapping(one.get("metadata")).get("labels"))
    return SliceFacts(
        ports=ports_of(one.get("ports")),
        endpoints=tuple(sorted(endpoints_of(one.get("endpoints")), key=_order)),
        kind=one.get("addressType"),
        labels=(labels.get(SERVICE_NAME), labels.get(SLICE_MANAGER_LABEL)),
    )


def service_of(one: Mapping[str, Any]) -> str:
    """Return the name of the Service of an EndpointSlice, or the empty string."""
    name = _mapping(_mapping(one.get("metadata")).get("labels")).get(SERVICE_NAME)
    return name if isinstance(name, str) else ""


# --- wanted objects ---


def wanted_service(source: str, service: Mapping[str, Any], mirrored: Mirrored) -> Object:
    """Return the Service that stands for one of ``source`` in another cluster.

    It copies ports, session affinity, headlessness and ``publishNotReadyAddresses``. Load
    balancers, node ports and traffic policies concern only their own cluster.

    Raises:
        MirrorError: the service has no port, or is an ExternalName.
    """
    facts = service_facts(service)
    if _mapping(service.get("spec")).get("type") == "ExternalName":
        raise MirrorError(
            f"the service {mirrored} of {printable(source)} is an ExternalName: it has no pods to "
            "mirror"
        )
    spec: Object = {"type": "ClusterIP", "sessionAffinity": facts.affinity}
    spec["ports"] = [port.object() for port in facts.ports]
    if facts.headless:
        spec["clusterIP"] = "None"
    elif not facts.ports:
        raise MirrorError(f"the service {mirrored} of {printable(source)} has no port")
    if facts.not_ready_too:
        spec["publishNotReadyAddresses"] = True
    metadata = {"namespace": mirrored.namespace, "name": mirrored.name}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "labels": owner_labels(source)},
        "spec": spec,
    }


class Slices(NamedTuple):
    """EndpointSlices, and the number of endpoints left out because no shared network has them."""

    objects: list[Object]
    outside: int


def wanted_slices(
    source: str, slices: Iterable[Mapping[str, Any]], mirrored: Mirrored, networks: Sequence[Cidr]
) -> Slices:
    """Return the EndpointSlices that list the pods behind a service in another cluster.

    They have only endpoints within ``networks``, which the source shares, sorted by address, so
    that the same pods make the same slices.
    """
    groups: dict[tuple[int, tuple[Port, ...]], dict[Address, Endpoint]] = {}
    outside = set()
    shared = Lookup(Used(network, "shared", "cluster", source) for network in networks)
    for one in slices:
        ports = ports_of(one.get("ports"))
        for endpoint in endpoints_of(one.get("endpoints")):
            address = endpoint.address
            if shared.around(single(address), beside="") is None:
                outside.add(address)
                continue
            group = groups.setdefault((address.version, ports), {})
            known = group.get(address)
            if known is None or endpoint.ready:  # a pod may be in two slices while it moves
                group[address] = endpoint
    objects = []
    for version, same in groupby(sorted(groups, key=lambda key: key[0]), key=lambda key: key[0]):
        pieces = [piece for key in sorted(same) for piece in _pieces(key[1], groups[key])]
        for number, (ports, endpoints) in enumerate(pieces):
            name = f"{mirrored.name}.{slug(source)}.ipv{version}-{number}"
            objects.append(_slice(source, mirrored, name, version, ports, endpoints))
    return Slices(objects, len(outside))


def _pieces(
    ports: tuple[Port, ...], endpoints: Mapping[Address, Endpoint]
) -> Iterator[tuple[tuple[Port, ...], list[Endpoint]]]:
    ordered = sorted(endpoints.values(), key=_order)
    for start in range(0, len(ordered), MOST_ENDPOINTS):
        yield ports, ordered[start : start + MOST_ENDPOINTS]


def _order(endpoint: Endpoint) -> tuple[int, int]:
    return endpoint.address.version, int(endpoint.address)


def _slice(
    source: str,
    mirrored: Mirrored,
    name: str,
    version: int,
    ports: Sequence[Port],
    endpoints: Sequence[Endpoint],
) -> Object:
    labels = {SERVICE_NAME: mirrored.name, SLICE_MANAGER_LABEL: SLICE_MANAGER}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": mirrored.namespace,
            "name": name,
            "labels": {**owner_labels(source), **labels},
        },
        "addressType": f"IPv{version}",
        "ports": [port.object() for port in ports],
        "endpoints": [endpoint.object() for endpoint in endpoints],
    }


def namespace_of(one: Mapping[str, Any]) -> str:
    """Return the namespace of an object, or the empty string."""
    namespace = _mapping(one.get("metadata")).get("namespace")
    return namespace if isinstance(namespace, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
