"""Services of one cluster as they stand in another: the objects by which its clients find the pods.

Pods of linked clusters reach one another, so a mirrored service leads to the pods themselves, as a
service of the same cluster does: a Service without a selector, and EndpointSlices that hold the
addresses of the pods and say which are ready. The service network of the other cluster is not
needed, kube-proxy there is not passed, and a pod that is not ready is left out at once.

Nothing that a cluster says is copied as it is: addresses have to be of networks that it shares, or
it could send the clients of another cluster anywhere; ports and names have to be some.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.diagnosis.nesting import Lookup, Used
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
"""The label of an EndpointSlice that keeps Kubernetes' own controllers from it."""

MOST_ENDPOINTS = 100
"""Endpoints of one EndpointSlice, as Kubernetes makes them itself."""

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_APP_PROTOCOL = re.compile(
    r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_MOST_PORTS = 100  # of a service, as of an EndpointSlice


class MirrorError(ClusterError):
    """A service cannot be mirrored as it is."""


class Mirrored(NamedTuple):
    """A service that is to be there in other clusters, too; ``cluster`` has it, if one is named."""

    namespace: str
    name: str
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_mirrored(text: str) -> Mirrored | None:
    """Parse ``[CLUSTER=]NAMESPACE/SERVICE``; None if it is none."""
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
        """Return it as a Service or an EndpointSlice holds it."""
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
        """Return it as an EndpointSlice holds it."""
        found: Object = {"addresses": [str(self.address)], "conditions": {"ready": self.ready}}
        if self.hostname:
            found["hostname"] = self.hostname
        return found


# --- what is there ---


def ports_of(entries: object) -> tuple[Port, ...]:
    """Return the ports of a Service's spec or of an EndpointSlice; what is none is left out."""
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
    """Yield the endpoints of an EndpointSlice; what has no address is left out."""
    for entry in _mappings(entries):
        conditions = entry.get("conditions")
        ready = conditions.get("ready") if isinstance(conditions, dict) else None
        hostname = entry.get("hostname")
        named = isinstance(hostname, str) and _LABEL.fullmatch(hostname) is not None
        addresses = entry.get("addresses")
        for text in addresses if isinstance(addresses, list) else ():
            address = parse_address(text) if isinstance(text, str) else None
            if address is not None:  # a readiness that is not known counts as one, by the API
                yield Endpoint(address, ready is not False, str(hostname) if named else "")


class ServiceFacts(NamedTuple):
    """What matters of a Service that has no selector."""

    ports: tuple[Port, ...]
    headless: bool
    affinity: str
    not_ready_too: bool


def service_facts(service: Mapping[str, Any]) -> ServiceFacts:
    """Return what matters of a Service."""
    spec = _mapping(service.get("spec"))
    return ServiceFacts(
        ports=ports_of(spec.get("ports")),
        headless=spec.get("clusterIP") == "None",
        affinity="ClientIP" if spec.get("sessionAffinity") == "ClientIP" else "None",
        not_ready_too=spec.get("publishNotReadyAddresses") is True,
    )


class SliceFacts(NamedTuple):
    """What matters of an EndpointSlice."""

    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...]
    kind: object
    labels: tuple[object, ...]


def slice_facts(one: Mapping[str, Any]) -> SliceFacts:
    """Return what matters of an EndpointSlice."""
    labels = _mapping(_mapping(one.get("metadata")).get("labels"))
    return SliceFacts(
        ports=ports_of(one.get("ports")),
        endpoints=tuple(sorted(endpoints_of(one.get("endpoints")), key=_order)),
        kind=one.get("addressType"),
        labels=(labels.get(SERVICE_NAME), labels.get(SLICE_MANAGER_LABEL)),
    )


def service_of(one: Mapping[str, Any]) -> str:
    """Return the name of the Service that an EndpointSlice is of, or the empty string."""
    name = _mapping(_mapping(one.get("metadata")).get("labels")).get(SERVICE_NAME)
    return name if isinstance(name, str) else ""


# --- what is to be there ---


def wanted_service(source: str, service: Mapping[str, Any], mirrored: Mirrored) -> Object:
    """Return the Service by which another cluster knows that of ``source``.

    Ports, session affinity and being headless are taken over. Load balancers, node ports and
    traffic policies are a matter of the cluster that they are in.

    Raises:
        MirrorError: it has no port, or stands for a name outside of the cluster.
    """
    facts = service_facts(service)
    if _mapping(service.get("spec")).get("type") == "ExternalName":
        raise MirrorError(
            f"the service {mirrored} of {printable(source)} stands for a name outside of the "
            "cluster (ExternalName): there are no pods to lead to"
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
    """EndpointSlices, and how many endpoints were left out as they are of no shared network."""

    objects: list[Object]
    outside: int


def wanted_slices(
    source: str, slices: Iterable[Mapping[str, Any]], mirrored: Mirrored, networks: Sequence[Cidr]
) -> Slices:
    """Return the EndpointSlices by which another cluster knows the pods behind a service.

    Only endpoints within ``networks`` are taken over: what the source shares. Their order is that
    of addresses, so that the same pods make the same slices.
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
