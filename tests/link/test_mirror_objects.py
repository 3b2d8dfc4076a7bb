"""Objects of service mirrors, and the fields that are never copied."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.link.mirror_objects import (
    MOST_ENDPOINTS,
    Mirrored,
    MirrorError,
    endpoints_of,
    parse_mirrored,
    ports_of,
    service_facts,
    slice_facts,
    wanted_service,
    wanted_slices,
)
from kgctl.mesh.cidr import Cidr, parse_cidr

WEB = Mirrored("shop", "web")


def cidrs(*texts: str) -> list[Cidr]:
    found = [parse_cidr(text) for text in texts]
    return [cidr for cidr in found if cidr is not None]


PODS = cidrs("10.42.0.0/16", "fd00:42::/64")


def endpoint(*addresses: str, **more: Any) -> dict[str, Any]:
    return {"addresses": list(addresses), "conditions": {"ready": True}, **more}


def slice_of(*endpoints: dict[str, Any], ports: Any = None) -> dict[str, Any]:
    return {
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}] if ports is None else ports,
        "endpoints": list(endpoints),
    }


def service(**spec: Any) -> dict[str, Any]:
    return {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}], **spec}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop/web", Mirrored("shop", "web")),
        ("west=shop/web", Mirrored("shop", "web", "west")),
        ("a=b=shop/web", Mirrored("shop", "web", "a=b")),
        ("web", None),
        ("shop/", None),
        ("/web", None),
        ("shop/web/x", None),
        ("Shop/web", None),
        ("shop/web\n", None),
        ("../web", None),
        ("shop/" + "a" * 64, None),
    ],
)
def test_a_service_is_named_by_its_namespace_and_name(text: str, expected: Mirrored | None) -> None:
    assert parse_mirrored(text) == expected


def test_the_service_has_the_ports_and_nothing_of_the_other_cluster() -> None:
    source = service(
        type="LoadBalancer",
        clusterIP="10.43.0.7",
        selector={"app": "web"},
        sessionAffinity="ClientIP",
        internalTrafficPolicy="Local",
        externalIPs=["198.51.100.1"],
    )
    source["spec"]["ports"][0]["nodePort"] = 30080
    wanted = wanted_service("west", source, WEB)
    assert wanted["metadata"] == {
        "namespace": "shop",
        "name": "web",
        "labels": {
            "app.kubernetes.io/managed-by": "kgctl-link",
            "kgctl.dev/linked-cluster": "west",
        },
    }
    assert wanted["spec"] == {
        "type": "ClusterIP",
        "sessionAffinity": "ClientIP",
        "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
    }
    headless = wanted_service("west", service(clusterIP="None", ports=[]), WEB)
    assert headless["spec"]["clusterIP"] == "None"


def test_a_name_outside_of_the_cluster_has_no_pods() -> None:
    with pytest.raises(MirrorError, match="ExternalName"):
        wanted_service("west", service(type="ExternalName", externalName="example.org"), WEB)
    with pytest.raises(MirrorError, match="no port"):
        wanted_service("west", service(ports=[{"port": "80"}]), WEB)


def test_pods_of_shared_networks_are_taken_over_and_no_others() -> None:
    found = wanted_slices(
        "west",
        [
            slice_of(
                endpoint("10.42.1.9"),
                endpoint("10.42.1.2", conditions={"ready": False}, hostname="web-0"),
                endpoint("192.0.2.1"),
                endpoint("10.43.0.1"),
                endpoint("not an address"),
                endpoint("127.0.0.1"),
            )
        ],
        WEB,
        PODS,
    )
    (only,) = found.objects
    assert found.outside == 3
    assert only["metadata"]["name"] == "web.west.ipv4-0"
    assert only["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert only["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "kgctl-link"
    assert only["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    assert only["endpoints"] == [
        {"addresses": ["10.42.1.2"], "conditions": {"ready": False}, "hostname": "web-0"},
        {"addresses": ["10.42.1.9"], "conditions": {"ready": True}},
    ]


def test_slices_hold_a_hundred_each_of_one_kind_of_address_and_the_same_ports() -> None:
    many = [endpoint(f"10.42.{number // 250}.{number % 250 + 1}") for number in range(250)]
    other = slice_of(endpoint("10.42.9.9"), ports=[{"name": "http", "port": 9090}])
    six = slice_of(endpoint("fd00:42::1"))
    found = wanted_slices("west", [slice_of(*many), other, six], WEB, PODS).objects
    assert [(len(one["endpoints"]), one["addressType"]) for one in found] == [
        (MOST_ENDPOINTS, "IPv4"), (MOST_ENDPOINTS, "IPv4"), (50, "IPv4"), (1, "IPv4"), (1, "IPv6"),
    ]  # fmt: skip
    names = [one["metadata"]["name"] for one in found]
    assert names[-2:] == ["web.west.ipv4-3", "web.west.ipv6-0"]
    assert len(set(names)) == len(names)
    again = wanted_slices("west", [six, other, slice_of(*reversed(many))], WEB, PODS).objects
    assert again == found


def test_a_pod_in_two_slices_is_one_and_ready_if_either_says_so() -> None:
    moving = endpoint("10.42.1.1", conditions={"ready": False})
    found = wanted_slices("west", [slice_of(moving), slice_of(endpoint("10.42.1.1"))], WEB, PODS)
    assert found.objects[0]["endpoints"] == [
        {"addresses": ["10.42.1.1"], "conditions": {"ready": True}}
    ]


def test_ports_and_names_that_are_none_are_left_out() -> None:
    good = {"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}
    bad = [
        {"port": 0}, {"port": 65536}, {"port": True}, {"port": "80"}, {}, None, "x",
        {"port": 1, "protocol": "ICMP"}, {"port": 1, "name": "a\nb"}, {"port": 1, "name": ["x"]},
    ]  # fmt: skip
    (port,) = ports_of([good, *bad])
    assert port.object() == good
    assert ports_of([{**good, "appProtocol": "a\nb"}])[0].application == ""
    assert ports_of("http") == ()


FIELDS = [
    "spec", "ports", "port", "name", "protocol", "endpoints", "addresses", "conditions", "ready",
    "metadata", "labels", "addressType", "hostname", "clusterIP", "type", "appProtocol",
]  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(ANYTHING, ANYTHING)
def test_whatever_a_cluster_holds_nothing_but_our_own_error_comes_of_it(
    one: Any, other: Any
) -> None:
    thing = one if isinstance(one, dict) else {"spec": one, "endpoints": one, "ports": other}
    slice_facts(thing)
    service_facts(thing)
    list(endpoints_of(other))
    for made in wanted_slices("west", [thing], WEB, PODS).objects:
        assert slice_facts(made) == slice_facts(made | {"ports": list(reversed(made["ports"]))})
        for found in endpoints_of(made["endpoints"]):
            assert any(network.contains(found.address) for network in PODS)
    try:
        made = wanted_service("west", thing, WEB)
    except MirrorError:
        return
    assert service_facts(made) == service_facts(wanted_service("west", made, WEB))
