"""A real API server with a given number of nodes, and the commands that read it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.apiserver.binaries import find_binaries
from tests.apiserver.fleet import fleet
from tests.apiserver.server import ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NODES = "/api/v1/nodes?limit=500&resourceVersion=0"
PROTOBUF = "application/vnd.kubernetes.protobuf"
PEERS = 5
READERS = "kgctl-readers"
"""A group that may list nodes and peers."""
PEER = "peer-0"
KGCTL = str(Path(sys.executable).with_name("kgctl"))
"""The program that is installed beside this Python."""


class Cluster:
    """An API server with a growing number of nodes."""

    def __init__(self, server: ApiServer, state: Path) -> None:
        self._server = server
        self._state = state
        self._count = 0
        self.kubeconfig = str(server.token_user("reader"))
        """The kubeconfig of a user with a token who may list nodes and peers."""
        self.certificate_kubeconfig = str(server.user("bench", _READING))
        """The kubeconfig of such a user with a client certificate."""
        self.acting_kubeconfig = self._kubeconfig(
            "acting", **server.users.with_token("admin"), **{"as": "x", "as-groups": [READERS]}
        )
        """The kubeconfig of a user who acts as such a user."""
        self.plugin_kubeconfig = self._kubeconfig("plugin", exec=self._plugin("reader"))
        """The kubeconfig of such a user whose exec plugin says when its token expires."""
        self.cache = str(state / "cache")
        """The directory for answers of that plugin."""

    def _kubeconfig(self, name: str, **user: object) -> str:
        return str(self._server.write_kubeconfig(name, user))

    def _plugin(self, user: str) -> dict[str, object]:
        status = {
            "token": self._server.users.with_token(user)["token"],
            "expirationTimestamp": "2999-01-01T00:00:00Z",
        }
        version = "client.authentication.k8s.io/v1"
        answer = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        program = self._state / "plugin"
        program.write_text(f"#!/bin/sh\nsleep 0.2\necho '{json.dumps(answer)}'\n")
        program.chmod(0o755)
        return {"apiVersion": version, "command": str(program), "interactiveMode": "Never"}

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.url.rpartition(":")[2])

    def grow(self, count: int) -> None:
        """Add nodes up to ``count``, and wait until lists from the watch cache have them all."""
        self._server.apply(list(fleet(count))[self._count :])
        if not self._count:
            self._server.apply(map(peer_object, range(PEERS)))
        self._count = count
        while len(self._server.request("GET", NODES)["items"]) < count:
            time.sleep(0.1)

    def node_bytes(self) -> tuple[int, int]:
        """Return the size of an average node as protobuf and as JSON."""
        sizes = []
        for accept in (PROTOBUF, "application/json"):
            target = self._state / "list"
            subprocess.run(self.curl(accept, output=str(target)), check=True, timeout=60)
            sizes.append(target.stat().st_size // self._count)
        return sizes[0], sizes[1]

    def curl(
        self, accept: str = PROTOBUF, encoding: str = "identity", output: str = "/dev/null"
    ) -> list[str]:
        """Return the command that fetches the list of nodes and discards it."""
        return [
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--output",
            output,
            "--cacert",
            str(self._server.ca),
            "--header",
            f"Authorization: Bearer {self._server.users.with_token('reader')['token']}",
            "--header",
            f"Accept: {accept}",
            "--header",
            f"Accept-Encoding: {encoding}",
            f"{self._server.url}{NODES}",
        ]

    def kgctl(self, *arguments: str, program: str = KGCTL) -> list[str]:
        """Return a kgctl command for this cluster."""
        return [program, "--kubeconfig", self.kubeconfig, *arguments]

    def kubectl(self) -> list[str]:
        """Return kubectl's command to list nodes."""
        return ["kubectl", "--kubeconfig", self.kubeconfig, "get", "nodes"]


@contextlib.contextmanager
def started_server(how: str = "make apiserver") -> Iterator[tuple[ApiServer, Path]]:
    """Start an API server; yield it and its directory, and stop it at the end of the context.

    ``how`` makes the programs that are missing.
    """
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit(f"needs kube-apiserver and etcd: {how}")
    with tempfile.TemporaryDirectory(prefix="kgctl-bench-") as state:
        server = ApiServer(binaries, Path(state))
        try:
            server.launch()
            yield server, Path(state)
        finally:
            server.close()


@contextlib.contextmanager
def started_cluster() -> Iterator[Cluster]:
    """Start a cluster without nodes; stop it at the end of the context."""
    with started_server() as (server, state):
        yield Cluster(server, state)


def peer_object(number: int) -> dict[str, Any]:
    """Return the Peer object of a number."""
    key = hashlib.sha256(f"peer {number}".encode()).digest()
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": f"peer-{number}"},
        "spec": {
            "allowedIPs": [f"10.5.{number // 256}.{number % 256}/32"],
            "publicKey": base64.b64encode(key).decode(),
            "persistentKeepalive": 10,
        },
    }


_READING: Sequence[dict[str, list[str]]] = (
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
    {"apiGroups": ["kilo.squat.ai"], "resources": ["peers"], "verbs": ["list"]},
)
