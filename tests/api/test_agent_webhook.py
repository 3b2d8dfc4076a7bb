"""``kgctl agent webhook``, asked by a real API server."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.test_metrics import samples
from tests.api.test_link import wait_for
from tests.apiserver.client import RefusedError
from tests.support.certificates import self_signed
from tests.support.served import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer

KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
PORTS = re.compile(r"serving /validate on port (\d+), and /metrics on port (\d+)\n")


@contextmanager
def webhook(certificate: Path) -> Iterator[tuple[int, int]]:
    """Run the webhook as a process; it must end with 0 on SIGTERM."""
    command = [
        sys.executable, "-m", "kgctl", "agent", "webhook", "--cert-file", str(certificate),
        "--key-file", str(certificate), "--listen", "127.0.0.1:0",
        "--listen-metrics", "127.0.0.1:0",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = PORTS.match(process.stderr.readline())
            assert found is not None
            yield int(found[1]), int(found[2])
        finally:
            process.terminate()
            assert process.wait(60) == 0


def configuration(port: int, certificate: Path) -> dict[str, Any]:
    pem = certificate.read_text().partition("-----BEGIN PRIVATE")[0]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "peers.kilo.squat.ai"},
        "webhooks": [
            {
                "name": "peers.kilo.squat.ai",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/validate",
                    "caBundle": b64encode(pem.encode()).decode(),
                },
                "rules": [
                    {
                        "apiGroups": ["kilo.squat.ai"], "apiVersions": ["v1alpha1"],
                        "operations": ["CREATE", "UPDATE"], "resources": ["peers"],
                        "scope": "Cluster",
                    }
                ],
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 5,
            }
        ],
    }  # fmt: skip


def peer(name: str, *allowed_ips: str) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "metadata": {"name": name},
        "spec": {"allowedIPs": list(allowed_ips), "publicKey": KEY},
    }  # fmt: skip


def test_the_api_server_asks_it(api_server: ApiServer, tmp_path: Path) -> None:
    api_server.clear()
    certificate = self_signed(tmp_path / "certificate.pem")

    def is_denied() -> bool:
        try:
            api_server.request("POST", f"{PEERS}?dryRun=All", peer("probe", "10.5.0.1"))
        except RefusedError as error:
            return "denied the request" in str(error)
        return False

    with webhook(certificate) as (port, metrics):
        api_server.request("POST", HOOKS, configuration(port, certificate))
        try:
            wait_for(is_denied)  # the API server takes a while to know a webhook
            with pytest.raises(RefusedError) as refused:
                api_server.request("POST", PEERS, peer("laptop", "10.5.0.1"))
            assert 'denied the request: invalid: allowed IP \\"10.5.0.1\\" is not a CIDR' in str(
                refused.value
            )
            api_server.request("POST", PEERS, peer("laptop", "10.5.0.1/32"))
            with pytest.raises(RefusedError, match="denied the request"):
                api_server.request(
                    "PATCH", f"{PEERS}/laptop", {"spec": {"persistentKeepalive": -1}},
                    "application/merge-patch+json",
                )  # fmt: skip
            stored = api_server.request("GET", f"{PEERS}/laptop")["spec"]
            assert stored == peer("laptop", "10.5.0.1/32")["spec"]
            counted = samples(fetch(f"http://127.0.0.1:{metrics}/metrics")[1].encode())
            assert counted["admission_requests_total", "CREATE", "allowed"] == 1
            # the server asks again about an object that it first took from its cache
            assert counted["admission_requests_total", "UPDATE", "denied"] >= 1
        finally:
            api_server.request("DELETE", f"{HOOKS}/peers.kilo.squat.ai")
            api_server.clear()
