"""Nodes of the size that kubelets write: 10 kB each, of which kgctl needs a few hundred bytes."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREVER = 4102444800
"""A heartbeat in the year 2100, in Unix seconds: the nodes stay ready."""

IMAGES = 40
"""Images on a node: a kubelet reports up to 50, each by name and by digest."""

CONDITIONS = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID"),
    "NetworkUnavailable": ("False", "KiloIsReady"),
    "Ready": ("True", "KubeletReady"),
}
SINCE = "2026-05-01T08:00:00Z"


def fleet(count: int, regions: int = 4) -> Iterator[dict[str, Any]]:
    """Node objects of a cluster that spans several regions, each node ready for the mesh.

    Args:
        count: how many nodes, at most 65,534.
        regions: how many locations they are spread over, evenly.
    """
    for number in range(count):
        name = f"node-{number:05d}"
        region = f"region-{number % regions}"
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": _labels(name, region),
                "annotations": _annotations(name, number),
            },
            "spec": _spec(number, region, name),
            "status": _status(name, number),
        }


def _labels(name: str, region: str) -> dict[str, str]:
    return {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "m5.2xlarge",
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": f"{region}a",
    }


def _annotations(name: str, number: int) -> dict[str, str]:
    return {
        "kilo.squat.ai/discovered-endpoints": "{}",
        "kilo.squat.ai/endpoint": f"{_address(20, number)}:51820",
        "kilo.squat.ai/granularity": "location",
        "kilo.squat.ai/internal-ip": f"{_address(10, number)}/16",
        "kilo.squat.ai/key": _key(name),
        "kilo.squat.ai/last-seen": str(FOREVER),
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    }


def _spec(number: int, region: str, name: str) -> dict[str, Any]:
    subnet = f"172.{16 + number // 4096}.{number // 16 % 256}.{number % 16 * 16}/28"
    return {"podCIDR": subnet, "podCIDRs": [subnet], "providerID": f"cloud:///{region}/{name}"}


def _status(name: str, number: int) -> dict[str, Any]:
    amounts = {
        "cpu": "8",
        "ephemeral-storage": "102388736Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": "32386880Ki",
        "pods": "110",
    }
    return {
        "addresses": [
            {"type": "InternalIP", "address": _address(10, number)},
            {"type": "Hostname", "address": name},
        ],
        "allocatable": amounts,
        "capacity": amounts,
        "conditions": [_condition(kind, *state) for kind, state in CONDITIONS.items()],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": [_image(index) for index in range(IMAGES)],
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": _digest(f"boot {name}"),
            "containerRuntimeVersion": "containerd://1.7.2",
            "kernelVersion": "6.1.0-21-amd64",
            "kubeProxyVersion": "v1.20.2",
            "kubeletVersion": "v1.20.2",
            "machineID": _digest(f"machine {name}"),
            "operatingSystem": "linux",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "systemUUID": _digest(f"system {name}"),
        },
    }


def _condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": f"kubelet reports {reason}",
        "lastHeartbeatTime": SINCE,
        "lastTransitionTime": SINCE,
    }


def _image(index: int) -> dict[str, Any]:
    name = f"registry.example.org/platform/service-{index:02d}"
    return {
        "names": [f"{name}@sha256:{_digest(name)}", f"{name}:v1.{index}.0"],
        "sizeBytes": 104_857_600 - index,
    }


def _address(first: int, number: int) -> str:
    """A node's address in 10.0.0.0/16, which is private, or in 20.0.0.0/16, which is not."""
    return f"{first}.0.{(number + 1) // 256}.{(number + 1) % 256}"


def _key(name: str) -> str:
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
