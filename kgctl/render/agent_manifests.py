"""The objects that run ``kgctl agent`` on every node of a cluster.

Names and labels are those of Kilo's own manifests, so applying these replaces its agents one node
after the other. They grant less: no container of the agent is privileged, and the role has no right
that the agent does not use.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.kilo import GROUP
from kgctl.mesh.agent_plan import Compatibility

if TYPE_CHECKING:
    from collections.abc import Iterable

    Object = dict[str, Any]


class Distribution(StrEnum):
    """The way in which a cluster was set up, which decides how agents reach the API server."""

    KUBEADM = "kubeadm"
    K3S = "k3s"
    GENERIC = "generic"


class Installation(NamedTuple):
    """The choices for the agent's objects. ``userspace``: a container runs wireguard-go.

    ``arguments`` are those of the agent's container, whose environment has ``NODE_NAME``, and
    ``NODE_IP`` beside another network plugin; ``KUBECONFIG`` is its kubeconfig, unless the
    distribution is the generic one.
    """

    distribution: Distribution
    image: str
    arguments: tuple[str, ...]
    compatibility: Compatibility = Compatibility.NONE
    userspace: bool = False


KUBECONFIG = "/etc/kubernetes/kubeconfig"
INTERFACE = "kilo0"
"""The interface of wireguard-go."""

NAME = "kilo"
NAMESPACE = "kube-system"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": NAME}
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_METRICS = 1107

CNI = {
    "cniVersion": "0.4.0",
    "name": NAME,
    "plugins": [
        {
            "name": "kubernetes",
            "type": "bridge",
            "bridge": "kube-bridge",
            "isDefaultGateway": True,
            "forceAddress": True,
            "mtu": 1420,
            "ipam": {"type": "host-local"},
        },
        {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}},
    ],
}
"""The CNI configuration; the agent puts the node's pod CIDR into it."""

INSTALL_CNI = """\
set -eu
chmod 0700 /var/lib/kilo
for name in bridge host-local loopback portmap; do
  install -m 0755 "/usr/lib/cni/$name" "/opt/cni/bin/.kilo-$name"
  mv "/opt/cni/bin/.kilo-$name" "/opt/cni/bin/$name"
done
file=/etc/cni/net.d/10-kilo.conflist
# written only if it changed: the agent has put the pod CIDR into the one that is there
if ! [ -f "$file" ] || ! cmp -s /cni/cni-conf.json /var/lib/kilo/cni-conf.json; then
  install -m 0644 /cni/cni-conf.json /etc/cni/net.d/.10-kilo
  mv /etc/cni/net.d/.10-kilo "$file"
  cp /cni/cni-conf.json /var/lib/kilo/cni-conf.json
fi
"""

K3S_KUBECONFIG = f"""\
set -eu
server=$(sed -n 's/^ *server: *//p' /k3s/kubelet.kubeconfig | head -n 1)
cat >{KUBECONFIG} <<END
apiVersion: v1
kind: Config
current-context: kilo
contexts: [{{name: kilo, context: {{cluster: k3s, user: kilo}}}}]
clusters:
  - name: k3s
    cluster: {{server: "$server", certificate-authority: {_ACCOUNT}/ca.crt}}
users:
  - name: kilo
    user: {{tokenFile: {_ACCOUNT}/token}}
END
"""


def agent_rules() -> list[Object]:
    """Return the RBAC rules of the agent: what it uses, and nothing else."""
    return [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch", "patch"]},
        {"apiGroups": [GROUP], "resources": ["peers"], "verbs": ["list", "watch"]},
    ]


def peers_definition() -> Object:
    """Return Kilo's CustomResourceDefinition of Peers."""
    from importlib.resources import files

    import yaml

    found = files("kgctl.render").joinpath("peers.crd.yaml").read_text(encoding="utf-8")
    definition: Object = yaml.safe_load(found)
    return definition


def agent_objects(installation: Installation) -> list[Object]:
    """Return the objects of the agent, in the order in which to create them."""
    cni = installation.compatibility is Compatibility.NONE
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    found = [
        peers_definition(),
        _object("v1", "ServiceAccount", NAME, NAMESPACE),
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", NAME) | {"rules": agent_rules()},
        _object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", NAME)
        | {
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        },
    ]
    if cni:
        text = json.dumps(CNI, indent=2) + "\n"
        config = _object("v1", "ConfigMap", NAME, NAMESPACE)
        found.append(config | {"data": {"cni-conf.json": text}})
    return [*found, _daemon_set(installation)]


def _object(version: str, kind: str, name: str, namespace: str = "") -> Object:
    metadata: Object = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": metadata | {"labels": dict(_LABELS)},
    }


def _daemon_set(installation: Installation) -> Object:
    pod: Object = {
        "serviceAccountName": NAME,
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "tolerations": [
            {"operator": "Exists", "effect": effect} for effect in ("NoSchedule", "NoExecute")
        ],
        # on nodes with SELinux, else the host's directories are closed to containers
        "securityContext": {
            "seLinuxOptions": {"type": "spc_t"},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": _init_containers(installation),
        "containers": _containers(installation),
        "volumes": _volumes(installation),
    }
    if not pod["initContainers"]:
        del pod["initContainers"]
    return _object("apps/v1", "DaemonSet", NAME, NAMESPACE) | {
        "spec": {
            "selector": {"matchLabels": dict(_LABELS)},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": dict(_LABELS)}, "spec": pod},
        }
    }


def _container(name: str, image: str, capabilities: Iterable[str] = ()) -> Object:
    """Return a container of root with a few capabilities, and a root that it cannot write to."""
    allowed: Object = {"drop": ["ALL"]}
    added = list(capabilities)
    if added:
        allowed["add"] = added
    return {
        "name": name,
        "image": image,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": allowed,
        },
    }


def _containers(installation: Installation) -> list[Object]:
    environment = [_from_field("NODE_NAME", "spec.nodeName")]
    if installation.compatibility is not Compatibility.NONE:
        environment.append(_from_field("NODE_IP", "status.hostIP"))
    mounts = [
        _mount("lib-kilo", "/var/lib/kilo"),
        _mount("xtables-lock", "/run/xtables.lock"),
        _mount("run", "/run/kgctl"),
        _mount("tmp", "/tmp"),  # noqa: S108 - of the container
    ]
    if installation.compatibility is Compatibility.NONE:
        mounts.append(_mount("cni-conf-dir", "/etc/cni/net.d"))
    if installation.distribution is not Distribution.GENERIC:
        mounts.append(_mount("kubeconfig", "/etc/kubernetes", read_only=True))
    if installation.userspace:
        mounts.append(_mount("wireguard", "/var/run/wireguard"))
    # NET_ADMIN: links, addresses, routes, WireGuard; NET_RAW: iptables of the legacy kind
    agent = _container(NAME, installation.image, ("NET_ADMIN", "NET_RAW")) | {
        "args": list(installation.arguments),
        "env": environment,
        "ports": [{"name": "metrics", "containerPort": _METRICS, "protocol": "TCP"}],
        "livenessProbe": {"httpGet": {"path": "/health", "port": "metrics"}, "periodSeconds": 30},
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "volumeMounts": mounts,
    }
    return [agent, _wireguard_go(installation.image)] if installation.userspace else [agent]


def _wireguard_go(image: str) -> Object:
    """Return the container of the device; privileged, as some runtimes deny /dev/net/tun else."""
    return {
        "name": "wireguard",
        "image": image,
        "command": ["wireguard-go", "-f", INTERFACE],
        "securityContext": {"privileged": True, "readOnlyRootFilesystem": True},
        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
        "volumeMounts": [_mount("wireguard", "/var/run/wireguard")],
    }


def _init_containers(installation: Installation) -> list[Object]:
    found = []
    if installation.compatibility is Compatibility.NONE:
        mounts = [
            _mount("cni-conf", "/cni", read_only=True),
            _mount("cni-bin", "/opt/cni/bin"),
            _mount("cni-conf-dir", "/etc/cni/net.d"),
            _mount("lib-kilo", "/var/lib/kilo"),
        ]
        found.append(_script("install-cni", installation.image, INSTALL_CNI, mounts))
    if installation.distribution is Distribution.K3S:
        mounts = [
            _mount("k3s-kubelet", "/k3s/kubelet.kubeconfig", read_only=True),
            _mount("kubeconfig", "/etc/kubernetes"),
        ]
        found.append(_script("kubeconfig", installation.image, K3S_KUBECONFIG, mounts))
    return found


def _script(name: str, image: str, script: str, mounts: list[Object]) -> Object:
    return _container(name, image) | {
        "command": ["/bin/sh", "-c", script],
        "volumeMounts": mounts,
    }


def _volumes(installation: Installation) -> list[Object]:
    found = [
        _host("lib-kilo", "/var/lib/kilo", "DirectoryOrCreate"),
        _host("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
        {"name": "run", "emptyDir": {"medium": "Memory"}},
        {"name": "tmp", "emptyDir": {"medium": "Memory"}},
    ]
    if installation.compatibility is Compatibility.NONE:
        found += [
            {"name": "cni-conf", "configMap": {"name": NAME}},
            _host("cni-bin", "/opt/cni/bin", "DirectoryOrCreate"),
            _host("cni-conf-dir", "/etc/cni/net.d", "DirectoryOrCreate"),
        ]
    if installation.distribution is Distribution.KUBEADM:
        items = [{"key": "kubeconfig.conf", "path": "kubeconfig"}]
        found.append({"name": "kubeconfig", "configMap": {"name": "kube-proxy", "items": items}})
    if installation.distribution is Distribution.K3S:
        kubelet = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig"
        found += [
            {"name": "kubeconfig", "emptyDir": {}},
            _host("k3s-kubelet", kubelet, "File"),
        ]
    if installation.userspace:
        found.append(_host("wireguard", "/var/run/wireguard", "DirectoryOrCreate"))
    return found


def _mount(name: str, path: str, *, read_only: bool = False) -> Object:
    found: Object = {"name": name, "mountPath": path}
    if read_only:
        found["readOnly"] = True
    return found


def _host(name: str, path: str, kind: str) -> Object:
    return {"name": name, "hostPath": {"path": path, "type": kind}}


def _from_field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
