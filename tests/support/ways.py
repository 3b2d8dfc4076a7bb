"""Both transports, and a source that reads with a given one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.kube.access.kubeconfig import load_access
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.http.package import PackageTransport
from kgctl.state.api_server import ApiServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kgctl.kube.http.client import Backoff
    from kgctl.kube.objects import NodeObject

WAYS: list[type[LeanTransport] | type[PackageTransport]] = [LeanTransport, PackageTransport]

Way = type[LeanTransport] | type[PackageTransport]


def source(
    way: Way,
    kubeconfig: Path,
    *,
    timeout: float | None = None,
    cached: bool = True,
    backoff: Backoff | None = None,
    trace: Callable[[str], None] | None = None,
) -> ApiServer:
    """Return a source for the user of ``kubeconfig`` over the given transport."""
    access = load_access(str(kubeconfig))
    return ApiServer(
        access=access,
        transport=way(access),
        request_timeout=timeout,
        cached=cached,
        backoff=backoff,
        trace=trace,
    )


def by_name(nodes: object) -> list[NodeObject]:
    """Return nodes sorted by name: the watch cache has no order."""
    return sorted(nodes, key=lambda node: node.name)  # type: ignore[call-overload, no-any-return]
