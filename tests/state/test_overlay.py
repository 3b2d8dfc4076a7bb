"""A cluster with overlay files: kubectl's apply, annotations, and what Kilo accepts."""

from __future__ import annotations

import json

import pytest

from kgctl.edit.nodes import AnnotationError, checked
from kgctl.kube.objects import NodeObject
from kgctl.state.interface import Objects
from kgctl.state.overlay import MissingObjectError, annotated, applied, without

NODE = NodeObject("n", "10.42.0.0/24", {"l": "1"}, {"kilo.squat.ai/leader": "", "a": "1"})
PEER = {"metadata": {"name": "p"}, "spec": {"allowedIPs": ["10.5.0.1/32"], "presharedKey": "x"}}
BASE = Objects([NODE], [PEER], {})


def test_what_a_manifest_does_not_mention_stays() -> None:
    node = NodeObject("n", "", {}, {"a": "2", "b": "3"})
    peer = {"metadata": {"name": "p"}, "spec": {"allowedIPs": ["10.5.0.2/32"]}}
    found = applied(BASE, Objects([node], [peer], {}))
    assert found.nodes == [
        NODE._replace(annotations={"kilo.squat.ai/leader": "", "a": "2", "b": "3"})
    ]
    assert found.peers[0]["spec"] == {"allowedIPs": ["10.5.0.2/32"], "presharedKey": "x"}


def test_what_the_last_manifest_had_and_this_one_has_not_goes() -> None:
    last = {"spec": PEER["spec"], "metadata": {"annotations": {"a": "1"}}}
    note = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(last)}
    node = NODE._replace(annotations={**NODE.annotations, **note})
    peer = {**PEER, "metadata": {"name": "p", "annotations": note}}
    manifest = {"metadata": {"name": "p"}, "spec": {"allowedIPs": ["10.5.0.2/32"]}}
    base = Objects([node], [peer], {})
    found = applied(base, Objects([NodeObject("n", "", {}, {})], [manifest], {}))
    assert set(found.nodes[0].annotations) == {"kilo.squat.ai/leader", *note}
    assert found.peers[0]["spec"] == {"allowedIPs": ["10.5.0.2/32"]}


@pytest.mark.parametrize("last", ["[]", "{", '{"spec": []}', '"x"', "[" * 100_000, 7])
def test_a_broken_note_of_the_last_manifest_is_none(last: object) -> None:
    note = {"kubectl.kubernetes.io/last-applied-configuration": last}
    peer = {**PEER, "metadata": {"name": "p", "annotations": note}}
    found = applied(Objects([], [peer], {}), Objects([], [PEER], {}))
    assert found.peers[0]["spec"] == PEER["spec"]


def test_new_objects_are_added_and_others_taken_out() -> None:
    other = NodeObject("o", "", {}, {})
    found = applied(BASE, Objects([other], [], {}))
    assert [node.name for node in found.nodes] == ["n", "o"]
    assert without(found, "node", "n").nodes == [other]
    assert without(found, "peer", "p").peers == []
    for kind, name in (("node", "p"), ("peer", "n")):
        with pytest.raises(MissingObjectError):
            without(found, kind, name)
    with pytest.raises(MissingObjectError):
        annotated(found, ["x"], {})
    assert annotated(found, ["n"], {"a": None}).nodes[0].annotations == {"kilo.squat.ai/leader": ""}


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("leader", "true", "true"),
        ("leader", "false", None),
        ("kilo.squat.ai/location", "gcp", "gcp"),
        ("location", None, None),
        ("force-endpoint", "example.com:51820", "example.com:51820"),
        ("force-internal-ip", "-", "-"),
        ("force-internal-ip", "10.0.0.1/8", "10.0.0.1/8"),
        ("persistent-keepalive", "0", "0"),
        ("allowed-location-ips", "10.0.0.0/8, 192.168.0.0/16", "10.0.0.0/8,192.168.0.0/16"),
    ],
)
def test_what_kilo_takes_is_taken(key: str, value: str | None, taken: str | None) -> None:
    assert checked(key, value) == (f"kilo.squat.ai/{key.removeprefix('kilo.squat.ai/')}", taken)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("leader", "yes"),
        ("location", "a\nb"),
        ("location", "a" * 64),
        ("force-endpoint", "1.2.3.4"),
        ("force-endpoint", ""),
        ("force-internal-ip", "10.0.0.1"),
        ("persistent-keepalive", "25s"),
        ("persistent-keepalive", "-1"),
        ("persistent-keepalive", "65536"),
        ("allowed-location-ips", "10.0.0.0/8,nonsense"),
        ("allowed-location-ips", ""),
        ("key", "AAAA"),
        ("endpoint", "1.2.3.4:5"),
        ("mtu", "1420"),
    ],
)
def test_what_kilo_would_ignore_is_refused(key: str, value: str) -> None:
    with pytest.raises(AnnotationError):
        checked(key, value)
