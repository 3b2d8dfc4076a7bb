"""``kgctl peer validate``: it reports everything that Kilo, the API server or kubectl refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import kgctl.state.example
from kgctl.cli.commands.peer_validate import InvalidPeersError, validate_peers
from kgctl.kube.objects import NodeObject
from kgctl.mesh.cidr import parse_cidr
from kgctl.state.interface import Objects
from kgctl.state.manifests import Manifests
from tests.support.recorded import kgctl as run

EXAMPLE = Path(kgctl.state.example.__file__).with_name("cluster.json")
KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
OTHER = "Ep30BHFGgnVTJo7PxrPRFPLNqWdA7mCfSsKpGIoMyEI="


class Given:
    """A source that holds what a test writes down."""

    def __init__(self, *peers: dict[str, Any], nodes: tuple[NodeObject, ...] = ()) -> None:
        self._objects = Objects(nodes, peers, {})

    def read(self) -> Objects:
        return self._objects

    def names(self, kind: str) -> list[str]:
        raise NotImplementedError


def _peer(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


VALID = {"allowedIPs": ["10.5.0.1/32"], "publicKey": KEY}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"allowedIPs": ["10.5.0.1"]}, 'allowed IP "10.5.0.1" is not a CIDR (address/prefix)'),
        ({"allowedIPs": "10.5.0.1/32"}, 'allowedIPs "10.5.0.1/32" is not a list'),
        ({"publicKey": "x"}, 'publicKey "x" is not base64 of 32 bytes'),
        ({"publicKey": None}, "publicKey is missing"),
        ({"persistentKeepalive": -1}, 'persistentKeepalive "-1" is negative'),
        (
            {"persistentKeepalive": 65536},
            'persistentKeepalive "65536" is more than WireGuard\'s 65535 seconds',
        ),
        (
            {"persistentKeepalive": "10"},
            'persistentKeepalive "10" is text: write the number without quotes',
        ),
        ({"persistentKeepalive": "1m"}, 'persistentKeepalive "1m" is not a number of seconds'),
        ({"persistentKeepalive": True}, 'persistentKeepalive "true" is not a number of seconds'),
        ({"persistentKeepalive": 1.5}, 'persistentKeepalive "1.5" is not a number of seconds'),
        ({"allowedIPs": None}, "allowedIPs is missing"),
        ({"presharedKey": 12}, "presharedKey is not a string: put it in quotes"),
        (
            {"presharedkey": "x"},
            "spec.presharedkey is unknown: did you mean spec.presharedKey?",
        ),
        (
            {"persistentKeepAlive": 5},
            "spec.persistentKeepAlive is unknown: did you mean spec.persistentKeepalive?",
        ),
        ({"allowedIps": []}, "spec.allowedIps is unknown: did you mean spec.allowedIPs?"),
        ({"allowed_ips": []}, "spec.allowed_ips is unknown: did you mean spec.allowedIPs?"),
        ({"keepalive": 5}, "spec.keepalive is unknown: did you mean spec.persistentKeepalive?"),
        ({"dns": "a.b"}, "spec.dns is unknown: did you mean spec.endpoint.dnsOrIP.dns?"),
        ({"labels": {}}, "spec.labels is unknown: did you mean metadata.labels?"),
        ({"e\x1b[31m": 1}, "spec.e\\x1b[31m is unknown"),
        (
            {"endpoint": {"dns": "a.b", "port": 5}},
            "endpoint has neither dns nor ip; spec.endpoint.dns is unknown: "
            "did you mean spec.endpoint.dnsOrIP.dns?",
        ),
        (
            {"endpoint": {"dnsOrIP": {"ip": "1.2.3.4", "IP": ""}, "Port": 5, "port": 5}},
            "spec.endpoint.Port is unknown: did you mean spec.endpoint.port?; "
            "spec.endpoint.dnsOrIP.IP is unknown: did you mean spec.endpoint.dnsOrIP.ip?",
        ),
        (
            {"endpoint": {"dnsOrIp": {"ip": "1.2.3.4"}, "port": 5}},
            "endpoint has neither dns nor ip; spec.endpoint.dnsOrIp is unknown: "
            "did you mean spec.endpoint.dnsOrIP?",
        ),
        (
            {"endpoint": "1.2.3.4:5"},
            'endpoint "1.2.3.4:5" is not a mapping with dnsOrIP and port',
        ),
        (
            {"endpoint": {"dnsOrIP": "1.2.3.4", "port": 5}},
            'endpoint dnsOrIP "1.2.3.4" is not a mapping with dns or ip',
        ),
        (
            {"endpoint": {"dnsOrIP": {"ip": "1.2.3.4"}, "port": "51820"}},
            'endpoint port "51820" is text: write the number without quotes',
        ),
        ({"endpoint": {"port": 5}}, "endpoint has neither dns nor ip"),
        (
            {"endpoint": {"dnsOrIP": {"dns": "A_b"}, "port": 5}},
            'endpoint dns "A_b" is not an RFC 1123 subdomain',
        ),
        (
            {"endpoint": {"dnsOrIP": {"ip": "1.2.3"}, "port": 5}},
            'endpoint ip "1.2.3" is not an IP address',
        ),
        (
            {"endpoint": {"dnsOrIP": {"ip": "1.2.3.4"}, "port": 65536}},
            "endpoint port is 65536, not 1 to 65535",
        ),
    ],
)
def test_each_rule_names_the_field_and_why(
    capsys: pytest.CaptureFixture[str], spec: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidPeersError, match=r"^1 of 2 peers invalid$"):
        validate_peers(Given(_peer("good", **VALID), _peer("bad", **{**VALID, **spec})))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"peer.kilo.squat.ai/bad is invalid: {complaint}\n" in printed.err


def test_all_that_is_wrong_with_a_peer_is_said_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InvalidPeersError):
        validate_peers(Given(_peer("Bad", allowedIPs=["x"], persistentKeepalive=-1)))
    assert capsys.readouterr().err == (
        'peer.kilo.squat.ai/Bad is invalid: allowed IP "x" is not a CIDR (address/prefix); '
        'publicKey is missing; persistentKeepalive "-1" is negative; metadata.name "Bad" is '
        "not an RFC 1123 subdomain\n"
    )


def test_a_peer_without_a_name_is_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidPeersError):
        validate_peers(Given({"spec": VALID}))
    assert "peer.kilo.squat.ai/(without a name) is invalid: metadata.name is missing" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"metadata": {"name": True}}, 'metadata.name "true" is not a string: put it in quotes'),
        ({"metadata": {"name": 1000}}, 'metadata.name "1000" is not a string: put it in quotes'),
        (
            {"metadata": {"name": "x", "anotations": {}}},
            "metadata.anotations is unknown: did you mean metadata.annotations?",
        ),
        ({"publicKey": KEY}, "publicKey is unknown: did you mean spec.publicKey?"),
        ({"Spec": {}}, "Spec is unknown: did you mean spec?"),
        ({"x" * 99: 1}, f"{'x' * 59}… is unknown"),
        ({"spec": None}, "publicKey is missing; spec is missing"),
        ({"spec": []}, "publicKey is missing; spec is not a mapping"),
    ],
)
def test_fields_beside_the_spec_are_named(
    capsys: pytest.CaptureFixture[str], fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidPeersError):
        validate_peers(Given({**_peer("x", **VALID), **fields}))
    assert f" is invalid: {complaint}\n" in capsys.readouterr().err


def test_what_objects_of_a_cluster_have_is_known() -> None:
    metadata = dict.fromkeys(["uid", "managedFields", "finalizers", "labels"], "x")
    peer = {**_peer("x", **VALID), "apiVersion": "v", "kind": "k", "status": {"a": 1}}
    peer["metadata"] = {"name": "x", "annotations": {"any": "thing"}, **metadata}
    validate_peers(Given(peer))


def test_of_many_unknown_fields_some_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidPeersError):
        validate_peers(Given(_peer("x", **VALID, **{f"zz{at}": 1 for at in range(100)})))
    assert "; 80 more fields are unknown\n" in capsys.readouterr().err


PEER = "{apiVersion: %s, kind: %s, metadata: {name: x}, spec: {allowedIPs: [10.5.0.1/32], %s}}"
OURS = "kilo.squat.ai/v1alpha1"


@pytest.mark.parametrize(
    ("version", "kind", "complaint"),
    [
        ("kilo.squat.ai/v1", "Peer", "1 kilo.squat.ai/v1/Peer: write kilo.squat.ai/v1alpha1/Peer"),
        ("kilo.squat.ia/v1alpha1", "Peer", "write kilo.squat.ai/v1alpha1/Peer"),
        (OURS, "peer", "write kilo.squat.ai/v1alpha1/Peer"),
        (OURS, "Peers", "write kilo.squat.ai/v1alpha1/Peer"),
        (OURS, "Pear", "write kilo.squat.ai/v1alpha1/Peer"),
        ("kilo.squat.ai/v1", "PeerList", "write kilo.squat.ai/v1alpha1/PeerList"),
        ("v1", "node", "1 v1/node: write v1/Node"),
        ("v1", "Pod", "no Peer in {file}, but 1 v1/Pod: a Peer has apiVersion kilo.squat.ai/v1"),
        ("mesh.example.com/v1", "Peer", "no Peer in {file}, but 1 mesh.example.com/v1/Peer: a"),
        ("management.cattle.io/v3", "Node", "no Peer in {file}, but 1 management.cattle.io/v3/N"),
    ],
)
def test_files_without_a_peer_are_an_error(
    tmp_path: Path, version: str, kind: str, complaint: str
) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(PEER % (version, kind, f"publicKey: {KEY}"))
    with pytest.raises(InvalidPeersError) as raised:
        validate_peers(Manifests([str(path)]), files=[str(path)])
    assert complaint.format(file=path) in str(raised.value)


@pytest.mark.parametrize("content", ["", "---\n---\n", "# nothing"])
def test_empty_files_are_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(content)
    with pytest.raises(InvalidPeersError, match=r"no Peer in \S*peers.yaml: a Peer has"):
        validate_peers(Manifests([str(path)]), files=[str(path)])


def test_a_peer_of_another_version_among_others_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "peers.yaml"
    one, other = (
        PEER % (version, "Peer", f"publicKey: {KEY}") for version in (OURS, "kilo.squat.ai/v2")
    )
    path.write_text(f"{one}\n---\n{other}")
    with pytest.raises(InvalidPeersError, match=r"not read as Peers: 1 kilo\.squat\.ai/v2/Peer"):
        validate_peers(Manifests([str(path)]), files=[str(path)])


def test_lists_of_peers_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "peers.yaml"
    bare = f"{{metadata: {{name: y}}, spec: {{allowedIPs: [10.5.0.2/32], publicKey: {OTHER}}}}}"
    one = PEER % (OURS, "Peer", f"publicKey: {KEY}")
    path.write_text(
        f"{{apiVersion: v1, kind: List, items: [{one}]}}\n---\n"
        f"{{apiVersion: {OURS}, kind: PeerList, items: [{bare.replace('name: y', 'name: yy')}]}}"
    )
    validate_peers(Manifests([str(path)]), files=[str(path)])
    assert capsys.readouterr().out == "2 peers valid\n"


def test_of_two_of_one_name_both_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidPeersError, match="1 of 2 peers"):
        validate_peers(Given(_peer("x", allowedIPs=["?"], publicKey=KEY), _peer("x", **VALID)))
    assert "2 Peers have this name; the last one counts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("peer", "doubt"),
    [
        (
            _peer("z", allowedIPs=[], publicKey=OTHER),
            "takes no part in the network: no allowed IPs",
        ),
        (
            _peer("z", allowedIPs=["10.9.0.1/32"], publicKey="A" * 43 + "="),
            "takes no part in the network: public key is all zero",
        ),
        (
            _peer("z", allowedIPs=["10.5.0.1/32"], publicKey=OTHER),
            "does not get allowed IP 10.5.0.1/32: peer good has it",
        ),
        (
            _peer("z", allowedIPs=["10.5.0.0/24"], publicKey=OTHER),
            "allowed IP 10.5.0.0/24 overlaps 10.5.0.1/32, an allowed IP of peer good",
        ),
        (
            _peer("z", allowedIPs=["10.42.0.7/32"], publicKey=OTHER),
            "allowed IP 10.42.0.7/32 overlaps 10.42.0.0/24, the pod subnet of node n1",
        ),
        (
            _peer("z", allowedIPs=["10.43.7.0/24"], publicKey=OTHER),
            "allowed IP 10.43.7.0/24 overlaps 10.43.0.0/16, a service network",
        ),
        (_peer("z", allowedIPs=["10.9.0.1/32"], publicKey=KEY), "has the public key of peer good"),
        (
            _peer("z", allowedIPs=["10.9.0.1/32"], publicKey=OTHER, presharedKey="x"),
            "presharedKey is not base64 of 32 bytes, so it is ignored",
        ),
    ],
)
def test_what_is_odd_is_a_warning(
    capsys: pytest.CaptureFixture[str], peer: dict[str, Any], doubt: str
) -> None:
    services = parse_cidr("10.43.0.0/16")
    assert services is not None
    node = NodeObject("n1", "10.42.0.0/24", {}, {})
    validate_peers(Given(_peer("good", **VALID), peer, nodes=(node,)), [services])
    printed = capsys.readouterr()
    assert printed.out == "2 peers valid\n"
    assert printed.err == f"peer.kilo.squat.ai/z, warning: {doubt}\n"


def test_fields_of_json_lists_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "peers.json"
    peer = {"apiVersion": OURS, "kind": "Peer", **_peer("x", **VALID), "publicKey": KEY}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [peer]}))
    with pytest.raises(InvalidPeersError, match="1 of 1 peer invalid"):
        validate_peers(Manifests([str(path)]), files=[str(path)])
    assert "publicKey is unknown: did you mean spec.publicKey?" in capsys.readouterr().err


def test_a_keepalive_of_json_may_be_written_with_a_point(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    spec = {**VALID, "persistentKeepalive": 25.0}
    path.write_text(json.dumps({"apiVersion": OURS, "kind": "Peer", **_peer("x", **spec)}))
    validate_peers(Manifests([str(path)]), files=[str(path)])


@pytest.mark.parametrize("command", [["check"], ["get", "nodes"], ["graph"]])
def test_every_command_warns_of_what_is_almost_a_peer(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(PEER % ("kilo.squat.ai/v1", "Peer", f"publicKey: {KEY}"))
    answer = run("--example", *command)
    assert "warning: passed over" not in answer.stderr
    answer = run("-f", str(EXAMPLE), "-f", str(path), "--at", "newest", *command)
    warning = "warning: passed over 1 kilo.squat.ai/v1/Peer: write kilo.squat.ai/v1alpha1/Peer\n"
    assert warning in answer.stderr
