"""Which networks a cluster takes the addresses of its services from, where it says so.

Kubernetes keeps them as ServiceCIDR objects since 1.29 (``networking.k8s.io``; every cluster of
1.33 has them). Before, they are but an argument of the API server, which tells nobody; kubeadm
writes it down in its ConfigMap (``networking.serviceSubnet``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.kube.errors import ForbiddenError, NotFoundError
from kgctl.kube.lists import JSON
from kgctl.kube.single import decoded_object
from kgctl.mesh.cidr import Cidr, parse_cidr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.kube.http.client import Api

_GROUP = "/apis/networking.k8s.io"
_KUBEADM = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"


class ServiceNetworks(NamedTuple):
    """The networks of a cluster's services, and what told them."""

    cidrs: tuple[Cidr, ...]
    told_by: str


def read_service_networks(api: Api) -> ServiceNetworks | None:
    """Return the networks of a cluster's services; None where it does not tell, or not this user.

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
