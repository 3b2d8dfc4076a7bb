"""The objects that run ``kgctl agent webhook`` in a cluster."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from kgctl.kilo import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "peer-webhook"
"""The name of the objects, of the Secret with the certificate, and of the Certificate if
cert-manager makes that Secret."""

NAMESPACE = "kilo"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "kilo"}
HTTPS, METRICS = 8443, 1107
"""The ports of the webhook's container."""

CERTIFICATE, KEY = "tls.crt", "tls.key"
"""The files of the Secret."""

DIRECTORY = "/etc/kgctl/tls"
"""The directory of these files in the container."""


Object = dict[str, Any]


def webhook_objects(
    image: str, arguments: Sequence[str], ca_bundle: bytes | None = None
) -> list[Object]:
    """Return the objects of the webhook, in the order in which to create them.

    ``arguments`` are those of its container. ``ca_bundle`` are the certificates, in PEM, by which
    the API server trusts it; without them, cert-manager is asked to put them in.
    """
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _deployment(image, arguments),
        _object("v1", "Service")
        | {
            "spec": {
                "selector": dict(_LABELS),
                "ports": [_port("webhook", {"port": 443, "targetPort": "webhook"})],
            }
        },
        _configuration(ca_bundle),
    ]


def _object(version: str, kind: str) -> Object:
    metadata = {"name": NAME, "namespace": NAMESPACE, "labels": dict(_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _port(name: str, port: Object) -> Object:
    # server-side apply tells ports apart by their protocol, and knows no default
    return {"name": name, "protocol": "TCP", **port}


def _deployment(image: str, arguments: Sequence[str]) -> Object:
    container: Object = {
        "name": "webhook",
        "image": image,
        "args": list(arguments),
        "ports": [
            _port("webhook", {"containerPort": HTTPS}),
            _port("metrics", {"containerPort": METRICS}),
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": "metrics"}},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "384Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tls", "mountPath": DIRECTORY, "readOnly": True}],
    }
    pod: Object = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "fsGroup": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": NAME, "defaultMode": 0o440}}],
    }
    return _object("apps/v1", "Deployment") | {
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": dict(_LABELS)},
            "template": {"metadata": {"labels": dict(_LABELS)}, "spec": pod},
        }
    }


def _configuration(ca_bundle: bytes | None) -> Object:
    service = {"name": NAME, "namespace": NAMESPACE, "path": "/validate"}
    client: Object = {"service": service}
    metadata: Object = {"name": f"peers.{GROUP}", "labels": dict(_LABELS)}
    if ca_bundle is None:
        metadata["annotations"] = {"cert-manager.io/inject-ca-from": f"{NAMESPACE}/{NAME}"}
    else:
        client["caBundle"] = b64encode(ca_bundle).decode()
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": [VERSION],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["peers"],
        "scope": "Cluster",
    }
    webhook = {
        "name": f"peers.{GROUP}",
        "rules": [rule],
        "clientConfig": client,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "failurePolicy": "Fail",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [webhook],
    }
