"""Nodes as JSON: for a server, or a proxy before one, that gives no protobuf, and for watching.

In a module of its own because msgspec takes 25 ms to import, and nearly nobody needs it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kgctl.kube.budget import NODE_PEAK, node_size
from kgctl.kube.fast.protobuf import NodePage
from kgctl.kube.objects import NodeObject
from kgctl.mesh.node import NO_PLATFORM, Platform

if TYPE_CHECKING:
    from kgctl.kube.budget import Budget


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
    items: list[msgspec.Raw] | None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


_LIST = msgspec.json.Decoder(_NodeList)
_NODE = msgspec.json.Decoder(NodeJson)
_RAW = 64  # bytes that an item takes which is not decoded yet, with its place in the list


def read_node(
    data: bytes | msgspec.Raw, budget: Budget, *, annotation: str = "", platform: bool = False
) -> NodeObject:
    """Read one Node object, if the budget has the memory that this takes at most.

    Raises:
        kgctl.errors.AnswerError: it has not.
        msgspec.MsgspecError, ValueError, RecursionError: it is no Node object.
    """
    budget.require(NODE_PEAK * len(memoryview(data)))
    return _NODE.decode(data).node(annotation=annotation, platform=platform)


def read_node_json(
    data: bytes | bytearray, budget: Budget, *, annotation: str = "", platform: bool = False
) -> NodePage | None:
    """Read a NodeList, or a list of any objects' metadata; None if ``data`` is none.

    Of the annotations only those are kept whose name begins with ``annotation``.

    The nodes are decoded one by one: at once, they would take a multiple of what is kept of them.
    The budget is charged for that.

    Raises:
        kgctl.errors.AnswerError: it takes more than the budget has.
    """
    budget.require(_RAW * data.count(b","))
    nodes: list[NodeObject] = []
    try:
        found = _LIST.decode(data)
        for item in found.items or ():
            nodes.append(read_node(item, budget, annotation=annotation, platform=platform))
            budget.charge(node_size(nodes[-1]))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return NodePage(nodes, found.metadata.resource_version, found.metadata.next)
