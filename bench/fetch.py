"""Reads the nodes of a cluster in a given format and compression, overriding kgctl's choice.

python -m bench.fetch KUBECONFIG protobuf|json gzip|identity
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kgctl.kube.access.kubeconfig import load_access
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.http.client import Api
from kgctl.kube.lists import JSON, PROTOBUF
from kgctl.state.api_server import list_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.fast.lean import LeanResponse


class _Fixed(LeanTransport):
    """A transport that requests a fixed compression."""

    encoding = "identity"

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> LeanResponse:
        sent = {**headers, "Accept-Encoding": self.encoding}
        return super().request(method, path, query, sent, body, timeout)


def main(kubeconfig: str, kind: str, encoding: str) -> None:
    access = load_access(kubeconfig)
    transport = _Fixed(access)
    transport.encoding = encoding
    nodes = list_nodes(Api(access, transport), accept=JSON if kind == "json" else PROTOBUF)
    print(len(nodes))


if __name__ == "__main__":
    main(*sys.argv[1:])
