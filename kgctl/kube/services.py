"""Services, their EndpointSlices, and the service networks of a cluster.

EndpointSlices are in ``discovery.k8s.io/v1`` since Kubernetes 1.21, and in ``v1beta1`` before 1.25;
the fields used here are the same in both.

Service networks are ServiceCIDR objects since Kubernetes 1.29 (``networking.k8s.io``; every cluster
of 1.33 has them). Before, they are only an argument of the API server, which does not publish it;
kubeadm stores it in its ConfigMap (``networking.serviceSubnet``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import AnswerError, ForbiddenError, NotFoundError
from kgctl.kube.lists import JSON, Listed
from kgctl.kube.stored import Stored, decoded_object, object_path
from kgctl.mesh.cidr import Cidr, parse_cidr

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from kgctl.kube.http.client import Api, Body
    from kgctl.kube.stored import Object
    from kgctl.kube.watch import Event


SERVICE_NAME = "kubernetes.io/service-name"
"""The label of an EndpointSlice that names its Service."""

_DISCOVERY = "/apis/discovery.k8s.io"
_VERSIONS = ("v1", "v1beta1")  # the preferred one first
_CORE = "/api/v1"


class ServiceObjects:
    """The Services and EndpointSlices of an API server, as decoded JSON."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._version = ""

    def has_namespace(self, namespace: str) -> bool:
        """Return whether the namespace exists.

        Raises:
            kgctl.ClusterError: it cannot be read.
        """
        return Stored(self._api, f"{_CORE}/namespaces", "namespace").find(namespace) is not None

    def services(self, namespace: str) -> Stored:
        """Return the store of the Services in a namespace."""
        return Stored(self._api, f"{_namespaced(_CORE, namespace)}/services", "service")

    def slices(self, namespace: str) -> Stored:
        """Return the store of the EndpointSlices in a namespace.

        Raises:
            kgctl.ClusterError: the served version cannot be read.
        """
        return Stored(self._api, self._slices_of(namespace), "endpointslice")

    def slices_of(self, namespace: str, service: str) -> Sequence[Object]:
        """Return the EndpointSlices of a Service.

        Raises:
            kgctl.ClusterError: they cannot be read.
        """
        return self.listed_slices(namespace, service).objects

    def listed_slices(self, namespace: str, service: str) -> Listed[Object]:
        """Return the EndpointSlices of a Service, and the version to watch from.

        Raises:
            kgctl.ClusterError: they cannot be read.
        """
        return self._list(self._slices_of(namespace), f"{SERVICE_NAME}={service}")

    def watch_slices(
        self, namespace: str, service: str, resource_version: str, lasts: int
    ) -> Generator[Event[Object], None, None]:
        """Yield the changes of the EndpointSlices of a Service; see ``watch_objects``."""
        from kgctl.kube.watch import watch_objects

        selector = f"{SERVICE_NAME}={service}"
        return watch_objects(
            self._api, self._slices_of(namespace), resource_version, lasts, selector=selector
        )

    def labelled(self, selector: str) -> tuple[Sequence[Object], Sequence[Object]]:
        """Return the Services and EndpointSlices of all namespaces that match a label selector.

        Raises:
            kgctl.ClusterError: they cannot be read.
        """
        slices = f"{_DISCOVERY}/{self.slice_version()}/endpointslices"
        services = self._list(f"{_CORE}/services", selector)
        return services.objects, self._list(slices, selector).objects

    def slice_version(self) -> str:
        """Return the version of EndpointSlices that the API server serves, preferably ``v1``.

        Raises:
            kgctl.ClusterError: it cannot be read, or the server serves none.
        """
        if not self._version:
            try:
                group = self._api.get(_DISCOVERY, {}, JSON, decoded_object)
            except NotFoundError:
                group = {}
            listed = group.get("versions")
            served = [one.get("version") for one in listed or () if isinstance(one, dict)]
            found = [version for version in _VERSIONS if version in served]
            if not found:
                raise AnswerError(
                    "the API server serves no EndpointSlices (discovery.k8s.io/v1 or v1beta1), so "
                    "services cannot be mirrored"
                )
            self._version = found[0]
        return self._version

    def _slices_of(self, namespace: str) -> str:
        return f"{_namespaced(f'{_DISCOVERY}/{self.slice_version()}', namespace)}/endpointslices"

    def _list(self, path: str, selector: str) -> Listed[Object]:
        return self._api.get(path, {"labelSelector": selector}, JSON, _listed)


def _namespaced(base: str, namespace: str) -> str:
    return object_path(f"{base}/namespaces", "namespace", namespace)


def _listed(body: Body) -> Listed[Object]:
    content = body.json()
    items = content.get("items") if isinstance(content, dict) else None
    metadata = content.get("metadata") if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise body.unreadable(b"")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return Listed(items, str(version or ""))


_GROUP = "/apis/networking.k8s.io"
_KUBEADM = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"


class ServiceNetworks(NamedTuple):
    """The networks of a cluster's services, and their source."""

    cidrs: tuple[Cidr, ...]
    told_by: str


def read_service_networks(api: Api) -> ServiceNetworks | None:
    """Return the networks of a cluster's services; None if it does not publish them to this user.

    Raises:
        kgctl.ClusterError: the cluster cannot be read.
    """
    ways: dict[str, Callable[[Api], tuple[Cidr, ...]]] = {
        "its ServiceCIDR objects": _from_objects,
        "kubeadm's ConfigMap": _from_kubeadm,
    }
    for told_by, way in ways.items():
        try:
            cidrs = way(api)
        except (ForbiddenError, NotFoundError):
            continue
        if cidrs:
            return ServiceNetworks(cidrs, told_by)
    return None


def _from_objects(api: Api) -> tuple[Cidr, ...]:
    for version in ("v1", "v1beta1"):
        try:
            listed = api.get(f"{_GROUP}/{version}/servicecidrs", {}, JSON, decoded_object)
        except NotFoundError:
            continue
        items = listed.get("items")
        found = (_cidrs_of(one) for one in (items if isinstance(items, list) else ()))
        return tuple(dict.fromkeys(cidr for cidrs in found for cidr in cidrs))
    return ()


def _cidrs_of(one: object) -> Iterator[Cidr]:
    spec = one.get("spec") if isinstance(one, dict) else None
    listed = spec.get("cidrs") if isinstance(spec, dict) else None
    yield from _parsed(listed if isinstance(listed, list) else ())


def _parsed(texts: Any) -> Iterator[Cidr]:
    for text in texts:
        cidr = parse_cidr(text) if isinstance(text, str) else None
        if cidr is not None:
            yield cidr.masked()


def _from_kubeadm(api: Api) -> tuple[Cidr, ...]:
    import yaml

    from kgctl.kube.codec.yaml_loader import BoundedLoader

    data = api.get(_KUBEADM, {}, JSON, decoded_object).get("data")
    text = data.get("ClusterConfiguration") if isinstance(data, dict) else None
    if not isinstance(text, str):
        return ()
    try:
        written = yaml.load(text, Loader=BoundedLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return ()
    networking = written.get("networking") if isinstance(written, dict) else None
    subnets = networking.get("serviceSubnet") if isinstance(networking, dict) else None
    return tuple(_parsed(subnets.split(",") if isinstance(subnets, str) else ()))
