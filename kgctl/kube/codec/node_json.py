"""Nodes as JSON: for a server, or a proxy before one, that gives no protobuf, and for watching.

In a module of its own because msgspec takes 25 ms to import, and nearly nobody needs it here.
"""

from __future__ import annotations

import msgspec

from kgctl.kube.fast.protobuf import NodePage
from kgctl.kube.objects import NodeObject
from kgctl.mesh.platform import NO_PLATFORM, Platform


class _Meta(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Taint(msgspec.Struct):
    key: str = ""


class _Spec(msgspec.Struct):
    podCIDR: str = ""  # noqa: N815 - the names are Kubernetes'
    podCIDRs: list[str] | None = None  # noqa: N815
    providerID: str = ""  # noqa: N815
    taints: list[_Taint] | None = None

    def platform(self) -> Platform:
        """Return what a diagnosis looks at."""
        taints = tuple(taint.key for taint in self.taints or ())
        return Platform(tuple(self.podCIDRs or ()), self.providerID, taints)


class NodeJson(msgspec.Struct):
    """A Node object; all else of it is stepped over."""

    metadata: _Meta
    spec: _Spec | None = None

    def node(self, *, annotation: str = "", platform: bool = False) -> NodeObject:
        """Return it with the annotations whose name begins with ``annotation``.

        Its platform is read where that is asked for.
        """
        annotations = self.metadata.annotations or {}
        return NodeObject(
            self.metadata.name,
            self.spec.podCIDR if self.spec else "",
            self.metadata.labels or {},
            {name: value for name, value in annotations.items() if name.startswith(annotation)},
            self.spec.platform() if platform and self.spec else NO_PLATFORM,
        )


class _ListMeta(msgspec.Struct, rename={"resource_version": "resourceVersion", "next": "continue"}):
    resource_version: str = ""
    next: str = ""


class _NodeList(msgspec.Struct):
    items: list[NodeJson] | None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


_LIST = msgspec.json.Decoder(_NodeList)


def read_node_json(
    data: bytes | bytearray, *, annotation: str = "", platform: bool = False
) -> NodePage | None:
    """Read a NodeList, or a list of any objects' metadata; None if ``data`` is none.

    Of the annotations only those are kept whose name begins with ``annotation``.
    """
    try:
        found = _LIST.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    nodes = [item.node(annotation=annotation, platform=platform) for item in found.items or ()]
    return NodePage(nodes, found.metadata.resource_version, found.metadata.next)
