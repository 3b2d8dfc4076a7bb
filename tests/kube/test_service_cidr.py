"""Sources of a cluster's service network."""

from __future__ import annotations

from typing import Any

from kgctl.kube.services import ServiceNetworks, read_service_networks
from kgctl.mesh.cidr import parse_cidr
from tests.support.memory import Answer, MemoryTransport, api_on, status_body

MISSING = status_body("the server could not find the requested resource", "NotFound", 404)
FORBIDDEN = status_body("not for you", "Forbidden", 403)


def listed(*cidrs: list[Any]) -> Answer:
    return Answer({"kind": "ServiceCIDRList", "items": [{"spec": {"cidrs": one}} for one in cidrs]})


def missing() -> Answer:
    return Answer(MISSING, status=404)


def forbidden() -> Answer:
    return Answer(FORBIDDEN, status=403)


def kubeadm(configuration: str) -> Answer:
    return Answer({"kind": "ConfigMap", "data": {"ClusterConfiguration": configuration}})


def read(*answers: Answer) -> tuple[list[str], str] | None:
    found = read_service_networks(api_on(MemoryTransport(*answers)))
    return None if found is None else ([str(cidr) for cidr in found.cidrs], found.told_by)


def test_a_cluster_with_service_cidrs_tells_all_of_them() -> None:
    answer = listed(["10.43.0.0/16", "fd00:43::/112"], ["10.44.0.7/16", "10.43.0.0/16"])
    assert read(answer) == (
        ["10.43.0.0/16", "fd00:43::/112", "10.44.0.0/16"],
        "its ServiceCIDR objects",
    )


def test_an_older_cluster_has_them_as_beta() -> None:
    transport = MemoryTransport(missing(), listed(["10.96.0.0/12"]))
    found = read_service_networks(api_on(transport))
    cidr = parse_cidr("10.96.0.0/12")
    assert cidr is not None
    assert found == ServiceNetworks((cidr,), "its ServiceCIDR objects")
    assert [request.path for request in transport.requests] == [
        "/apis/networking.k8s.io/v1/servicecidrs",
        "/apis/networking.k8s.io/v1beta1/servicecidrs",
    ]


def test_kubeadm_wrote_it_down() -> None:
    written = (
        "networking:\n  podSubnet: 10.42.0.0/16\n  serviceSubnet: 10.96.0.0/12,fd00:96::/112\n"
    )
    expected = ["10.96.0.0/12", "fd00:96::/112"], "kubeadm's ConfigMap"
    assert read(missing(), missing(), kubeadm(written)) == expected
    assert read(forbidden(), kubeadm(written)) == expected


def test_where_nothing_tells_nothing_is_known() -> None:
    assert read(missing(), missing(), missing()) is None
    assert read(forbidden(), forbidden()) is None


def test_what_is_no_network_is_none() -> None:
    odd = Answer({"items": [{"spec": {"cidrs": ["10.43.0.0", 7, None]}}, "x", {"spec": 1}]})
    for written in ("[", "networking: 3", "networking: {serviceSubnet: [1]}", "{}", "a: *b"):
        assert read(Answer({"items": "no list"}), kubeadm(written)) is None
    assert read(odd, missing()) is None
