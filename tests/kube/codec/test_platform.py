"""The platform of a node: the same from protobuf, JSON and manifests, on request."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from kgctl.kube.budget import Budget
from kgctl.kube.codec.node_json import read_node_json
from kgctl.kube.fast.protobuf import read_node_list
from kgctl.kube.fast.wire import MalformedError
from kgctl.kube.objects import NodeObject
from kgctl.mesh.node import NO_PLATFORM, Platform
from kgctl.state.interface import Objects
from kgctl.state.manifests import Manifests
from kgctl.state.overlay import applied
from tests.support import encode

if TYPE_CHECKING:
    from pathlib import Path

PLATFORM = Platform(
    ("10.42.0.0/24", "fd42::/64"),
    "aws:///eu-west-1a/i-0123",
    ("node.kubernetes.io/network-unavailable", "dedicated"),
)
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n"},
    "spec": {
        "podCIDR": PLATFORM.pod_cidrs[0],
        "podCIDRs": list(PLATFORM.pod_cidrs),
        "providerID": PLATFORM.provider_id,
        "taints": [{"key": key, "effect": "NoSchedule"} for key in PLATFORM.taints],
    },
}
LIST = json.dumps({"items": [NODE]}).encode()


def protobuf(spec_end: bytes = b"") -> bytes:
    taints = [encode.member(1, key) + encode.member(3, "NoSchedule") for key in PLATFORM.taints]
    spec = (
        encode.member(1, PLATFORM.pod_cidrs[0])
        + encode.member(3, PLATFORM.provider_id)
        + encode.scalar(4, 1)
        + b"".join(encode.member(5, taint) for taint in taints)
        + b"".join(encode.member(7, cidr) for cidr in PLATFORM.pod_cidrs)
    )
    metadata = encode.member(1, encode.member(1, "n"))
    return encode.node_list([metadata + encode.member(2, spec + spec_end)])


def test_protobuf() -> None:
    (node,) = read_node_list(io.BytesIO(protobuf()).read, platform=True).nodes
    assert node.platform == PLATFORM
    (node,) = read_node_list(io.BytesIO(protobuf()).read).nodes
    assert node.platform == NO_PLATFORM


@pytest.mark.parametrize("end", [b"\x2a", b"\x2a\x7f", b"\x3a\x05a", b"\x2a\x02\x0a\x7f"])
def test_protobuf_that_is_cut_short(end: bytes) -> None:
    with pytest.raises(MalformedError):
        read_node_list(io.BytesIO(protobuf(end)).read, platform=True)


def test_json() -> None:
    budget = Budget("there")
    whole, plain = read_node_json(LIST, budget, platform=True), read_node_json(LIST, budget)
    assert whole is not None
    assert plain is not None
    assert whole.nodes[0].platform == PLATFORM
    assert plain.nodes[0].platform == NO_PLATFORM


def test_a_manifest(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_text(json.dumps(NODE))
    assert Manifests([str(path)]).read().nodes[0].platform == PLATFORM


def test_what_is_no_text_in_a_manifest_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    spec = {"podCIDRs": [7, "10.0.0.0/24", None], "providerID": 1, "taints": [{"key": 2}, 3, {}]}
    path.write_text(json.dumps({**NODE, "spec": spec}))
    assert Manifests([str(path)]).read().nodes[0].platform == Platform(("10.0.0.0/24",))
    path.write_text(json.dumps({**NODE, "spec": {"podCIDRs": "x", "taints": {}}}))
    assert Manifests([str(path)]).read().nodes[0].platform == NO_PLATFORM


def test_a_manifest_that_is_applied_changes_what_it_mentions() -> None:
    base = Objects([NodeObject("n", "", {}, {}, PLATFORM)], [], {})
    manifest = NodeObject("n", "", {}, {}, Platform(provider_id="gce://x"))
    (node,) = applied(base, Objects([manifest], [], {})).nodes
    assert node.platform == PLATFORM._replace(provider_id="gce://x")
