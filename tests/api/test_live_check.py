"""kgctl check on a live cluster: with fewer rights, without the CRD, and with overlay files."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.apiserver.client import RefusedError
from tests.apiserver.fleet import fleet
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.server import ApiServer

PEER = {
    "apiVersion": "kilo.squat.ai/v1alpha1",
    "kind": "Peer",
    "metadata": {"name": "p"},
    "spec": {"allowedIPs": ["10.5.0.9/32"], "publicKey": "nonsense"},
}


def codes(answer_text: str) -> set[str]:
    return {one["code"] for one in json.loads(answer_text)["findings"]}


def test_who_may_list_nodes_alone_gets_all_the_rest(api_server: ApiServer) -> None:
    api_server.clear()
    api_server.apply([PEER, *fleet(2)])
    whole = kgctl("--kubeconfig", str(api_server.kubeconfig), "check", "-o", "json")
    assert "KG401" in codes(whole.stdout)
    kubeconfig = api_server.token_user("nodes-only")
    part = kgctl("--kubeconfig", str(kubeconfig), "check", "-o", "json")
    assert codes(part.stdout) == codes(whole.stdout) - {"KG401"}
    assert "not checked: peers" in part.stderr
    nobody = kgctl("--kubeconfig", str(api_server.token_user("nobody")), "check")
    assert (nobody.code, nobody.stdout) == (2, "")


def test_a_missing_crd_is_found(api_server: ApiServer) -> None:
    api_server.clear()
    api_server.apply(fleet(2))
    arguments = ["--kubeconfig", str(api_server.kubeconfig), "check", "-o", "json"]
    assert "KG502" not in codes(kgctl(*arguments).stdout)
    with api_server.without_peers_crd():
        answer = kgctl(*arguments)
    assert answer.code == 1
    assert "KG502" in codes(answer.stdout)


def test_a_file_changes_of_a_live_node_what_it_has(api_server: ApiServer, tmp_path: Path) -> None:
    """As kubectl apply does: a manifest with one annotation takes no other one away."""
    api_server.clear()
    api_server.apply(fleet(2))
    name = next(iter(fleet(2)))["metadata"]["name"]
    annotations = {"kilo.squat.ai/force-endpoint": "nonsense"}
    node = {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "annotations": annotations}}  # fmt: skip
    path = tmp_path / "node.json"
    path.write_text(json.dumps(node))
    live = ["--kubeconfig", str(api_server.kubeconfig), "check", "-o", "json"]
    before = codes(kgctl(*live).stdout)
    assert codes(kgctl(*live, "-f", str(path), "--live").stdout) == before | {"KG101"}


def test_files_are_laid_over_the_live_cluster(api_server: ApiServer, tmp_path: Path) -> None:
    api_server.clear()
    api_server.apply([PEER, *fleet(2)])
    path = tmp_path / "peer.json"
    key = "DgWsxZRv+z+Aghy+/s9AlZmXyQj1D8Rcoy6ZrJmfT+I="
    path.write_text(json.dumps({**PEER, "spec": {"allowedIPs": [], "publicKey": key}}))
    live = ["--kubeconfig", str(api_server.kubeconfig), "check", "-o", "json"]
    assert "KG401" in codes(kgctl(*live).stdout)
    both = codes(kgctl(*live, "-f", str(path), "--live").stdout)
    assert "KG402" in both
    assert not {"KG401", "KG501"} & both


def test_a_cluster_without_nodes_is_no_sound_one(api_server: ApiServer) -> None:
    api_server.clear()
    answer = kgctl("--kubeconfig", str(api_server.kubeconfig), "check", "-o", "json")
    assert answer.code == 1
    assert codes(answer.stdout) == {"KG010"}


def test_labels_and_taints_are_read_from_a_live_cluster(api_server: ApiServer) -> None:
    """Every other command reads one label, and no taint."""
    api_server.clear()
    (node,) = fleet(1)
    node["metadata"]["labels"]["kilo.squat.ai/leader"] = "true"
    taint = {"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"}
    node["spec"]["taints"] = [taint]
    api_server.apply([node])
    answer = kgctl("--kubeconfig", str(api_server.kubeconfig), "check", "-o", "json")
    assert {"KG107", "KG316"} <= codes(answer.stdout)


def test_a_pod_cidr_is_set_once_as_the_remedy_has_it(api_server: ApiServer) -> None:
    """What EKS leaves out a person may fill in; the API server takes no second one."""
    api_server.clear()
    (node,) = fleet(1)
    node["spec"] = {"providerID": "aws:///eu-west-1a/i-0123"}
    api_server.apply([node])
    arguments = ["--kubeconfig", str(api_server.kubeconfig), "check", "-o", "json"]
    found = json.loads(kgctl(*arguments).stdout)["findings"]
    (remedy,) = (one["remedy"] for one in found if one["code"] == "KG003")
    patch = json.loads(shlex.split(remedy)[-1].replace('"CIDR"', '"10.42.7.0/24"'))
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    stored = api_server.request("GET", path)
    stored["spec"] |= patch["spec"]
    api_server.request("PUT", path, stored)
    assert "KG003" not in codes(kgctl(*arguments).stdout)
    stored = api_server.request("GET", path)
    stored["spec"] |= {"podCIDR": "10.42.8.0/24", "podCIDRs": ["10.42.8.0/24"]}
    with pytest.raises(RefusedError, match="podCIDR"):
        api_server.request("PUT", path, stored)
