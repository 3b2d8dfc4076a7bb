"""Hypothesis strategies for clusters: realistic ones, and ones with hostile texts."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

from kgctl.kube.objects import NodeObject
from kgctl.state.interface import Objects

FAR_AHEAD = "4102444800"
"""A heartbeat in the year 2100: the node stays ready."""

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text(alphabet='\n\r\t\0"\\<>{}[];#=:,\x1b\u202e\u2028\ud800 ab01', max_size=30),
    st.sampled_from(
        [
            "x\nPostUp = touch /tmp/owned",
            "x\r\n[Peer]\nAllowedIPs = 0.0.0.0/0",
            '"];evil->graph;"',
            "<b>bold</b>",
            "\\",
            'a\\"',
            "\x1b]0;owned\x07\x1b[2J",
            "\u202egpj.exe",
            "A" * 100_000,
            "10.0.0.1/24\nPostUp=x",
            "1.2.3.4:51820\nPostUp=x",
        ]
    ),
)

names = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
_KNOWN_KEYS = [base64.b64encode(bytes([number]) * 32).decode() for number in range(1, 7)]
"""Few keys, so that nodes often discover each other's."""

keys = st.sampled_from(_KNOWN_KEYS) | st.binary(min_size=32, max_size=32).map(
    lambda raw: base64.b64encode(raw).decode()
)
ports = st.integers(1, 65535)
octets = st.integers(0, 255)
addresses4 = st.tuples(
    st.sampled_from(["10", "52", "172.20", "192.168"]), octets, octets, octets
).map(lambda parts: ".".join([*str(parts[0]).split("."), *map(str, parts[1:])][:4]))
addresses6 = st.integers(1, 2**16 - 1).map(lambda number: f"2001:db8::{number:x}")
networks = st.one_of(
    st.tuples(addresses4, st.integers(8, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(addresses6, st.integers(32, 128)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
)
peer_networks = st.sampled_from(["10.5.0.1/32", "10.5.0.2/32", "10.5.0.0/24"]) | networks
endpoints = st.one_of(
    st.tuples(addresses4, ports).map(lambda pair: f"{pair[0]}:{pair[1]}"),
    st.tuples(addresses6, ports).map(lambda pair: f"[{pair[0]}]:{pair[1]}"),
    st.tuples(names, ports).map(lambda pair: f"{pair[0]}.example.com:{pair[1]}"),
)
discoveries = st.dictionaries(
    st.sampled_from(_KNOWN_KEYS),
    st.fixed_dictionaries({"IP": addresses4 | addresses6, "Port": ports, "Zone": st.just("")}),
    max_size=4,
).map(json.dumps)


@st.composite
def node_objects(draw: st.DrawFn) -> NodeObject:
    """Draw a node as Kilo's agent annotates it; sometimes an annotation is missing."""
    optional = {
        "internal-ip": networks,
        "force-internal-ip": st.sampled_from(["", "-", "bogus"]) | networks,
        "location": st.sampled_from(["aws", "gcp", "home", ""]),
        "leader": st.sampled_from(["", "true"]),
        "persistent-keepalive": st.sampled_from(["0", "25", "25", "ten"]),
        "discovered-endpoints": discoveries,
        "allowed-location-ips": st.lists(networks, max_size=3).map(",".join),
        "wireguard-ip": st.sampled_from(["10.4.0.1/16", "100.64.0.9/20"]),
    }
    annotations = {
        name: draw(values) for name, values in optional.items() if draw(st.booleans())
    } | {"key": draw(keys), "endpoint": draw(endpoints), "last-seen": FAR_AHEAD}
    annotations["granularity"] = draw(st.sampled_from(["location", "full"]))
    if draw(st.integers(0, 9)) == 0:
        del annotations[draw(st.sampled_from(["key", "endpoint", "last-seen"]))]
    return NodeObject(
        name=draw(names),
        pod_cidr=draw(networks),
        labels={"topology.kubernetes.io/region": draw(st.sampled_from(["aws", "edge"]))},
        annotations={f"kilo.squat.ai/{name}": text for name, text in annotations.items()},
    )


@st.composite
def peer_objects(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a Peer object as people write it."""
    spec: dict[str, Any] = {
        "allowedIPs": draw(st.lists(peer_networks, min_size=1, max_size=3)),
        "publicKey": draw(keys),
    }
    if draw(st.booleans()):
        spec["persistentKeepalive"] = draw(st.integers(0, 60))
    if draw(st.booleans()):
        spec["presharedKey"] = draw(keys)
    if draw(st.booleans()):
        target = (
            {"dns": f"{draw(names)}.example.org"} if draw(st.booleans()) else {"ip": "192.0.2.1"}
        )
        spec["endpoint"] = {"dnsOrIP": target, "port": draw(ports)}
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": draw(names)},
        "spec": spec,
    }


def clusters(nodes: int = 8, peers: int = 4) -> st.SearchStrategy[Objects]:
    """Return clusters of 1 to ``nodes`` nodes and up to ``peers`` peers, with unique names."""
    return st.builds(
        Objects,
        st.lists(node_objects(), min_size=1, max_size=nodes, unique_by=lambda node: node.name),
        st.lists(peer_objects(), max_size=peers, unique_by=lambda peer: peer["metadata"]["name"]),
        st.just({}),
    )


_ANNOTATIONS = [
    "allowed-location-ips",
    "cni-compatibility-ip",
    "discovered-endpoints",
    "endpoint",
    "force-endpoint",
    "force-internal-ip",
    "granularity",
    "internal-ip",
    "key",
    "last-seen",
    "leader",
    "location",
    "persistent-keepalive",
    "wireguard-ip",
]


@st.composite
def _with_hostile_texts(draw: st.DrawFn, node: NodeObject) -> NodeObject:
    changed = draw(st.dictionaries(st.sampled_from(_ANNOTATIONS), HOSTILE, max_size=4))
    hostile = {f"kilo.squat.ai/{name}": text for name, text in changed.items()}
    return node._replace(
        name=draw(st.just(node.name) | HOSTILE.filter(bool)),
        pod_cidr=draw(st.just(node.pod_cidr) | HOSTILE),
        labels={"topology.kubernetes.io/region": draw(HOSTILE)},
        annotations={**node.annotations, **hostile},
    )


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def _with_hostile_fields(draw: st.DrawFn, peer: dict[str, Any]) -> dict[str, Any]:
    fields = ["allowedIPs", "publicKey", "presharedKey", "persistentKeepalive", "endpoint"]
    changed = draw(st.dictionaries(st.sampled_from(fields), _ANYTHING, max_size=2))
    name = draw(st.just(peer["metadata"]["name"]) | HOSTILE.filter(bool))
    return {**peer, "metadata": {"name": name}, "spec": {**peer["spec"], **changed}}


def hostile_clusters() -> st.SearchStrategy[Objects]:
    """Return clusters in which an attacker chose some texts."""
    return st.builds(
        Objects,
        st.lists(node_objects().flatmap(_with_hostile_texts), min_size=1, max_size=4),
        st.lists(peer_objects().flatmap(_with_hostile_fields), max_size=3),
        st.just({}),
    )
