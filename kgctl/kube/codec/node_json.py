"""Decoder of Nodes in JSON, for watches, and for servers or proxies without protobuf.

It is a separate module because msgspec takes 25 ms to import, and a list rarely needs it.
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
    resourceVersion: str = ""  # noqa: N815 - the names are Kubernetes'
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Taint(msgspec.Struct):
    key: str = ""


class _Spec(msgspec.Struct):
    podCIDR: str = ""  # noqa: N815
    podCIDRs: list[str] | None = None  # noqa: N815
    providerID: str = ""  # noqa: N815
    taints: list[_Taint] | None = None

    def platform(self) -> Platform:
        """Return the fields for a diagnosis."""
        taints = tuple(taint.key for taint in self.taints or ())
        return Platform(tuple(self.podCIDRs or ()), self.providerID, taints)


class NodeJson(msgspec.Struct):
    """A Node object; other fields are skipped."""

    metadata: _Meta
    spec: _Spec | None = None

    def node(self, *, label: str = "", annotation: str = "", platform: bool = False) -> NodeObject:
        """Return the node; its platform is read only with ``platform``.

        Only labels whose name begins with ``label``, and annotations whose name begins with
        ``annotation``, are kept.
        """
        labels, annotations = self.metadata.labels or {}, self.metadata.annotations or {}
        if label:
            labels = {name: value for name, value in labels.items() if name.startswith(label)}
        return NodeObject(
            self.metadata.name,
            self.spec.podCIDR if self.spec else "",
            labels,
            {name: value for name, value in annotations.items() if name.startswith(annotation)},
            self.spec.platform() if platform and self.spec else NO_PLATFORM,
        )


class NodeEvent(msgspec.Struct):
    """A line of a watch of nodes."""

    type: str
    object: NodeJson


class _ListMeta(msgspec.Struct, rename={"resource_version": "resourceVersion", "next": "continue"}):
    resource_version: str = ""
    next: str = ""


class _NodeList(msgspec.Struct):
    items: list[msgspec.Raw] | None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


_LIST = msgspec.json.Decoder(_NodeList)
_NODE = msgspec.json.Decoder(NodeJson)
_EVENT = msgspec.json.Decoder(NodeEvent)
_RAW = 64  # bytes of an item that is not decoded yet, with its entry in the list


def read_node(
    data: bytes | msgspec.Raw,
    budget: Budget,
    *,
    label: str = "",
    annotation: str = "",
    platform: bool = False,
) -> NodeObject:
    """Decode one Node object, if the budget has the memory for it.

    Raises:
        kgctl.errors.AnswerError: the budget has too little memory left.
        msgspec.MsgspecError, ValueError, RecursionError: it is not a Node object.
    """
    budget.require(NODE_PEAK * len(memoryview(data)))
    return _NODE.decode(data).node(label=label, annotation=annotation, platform=platform)


def read_event(line: bytes, budget: Budget) -> NodeEvent:
    """Decode one line of a watch of nodes, if the budget has the memory for it.

    Raises:
        kgctl.errors.AnswerError: the budget has too little memory left.
        msgspec.MsgspecError, ValueError, RecursionError: it is not an event of a Node object.
    """
    budget.require(NODE_PEAK * len(line))
    return _EVENT.decode(line)


def read_node_json(
    data: bytes | bytearray,
    budget: Budget,
    *,
    label: str = "",
    annotation: str = "",
    platform: bool = False,
) -> NodePage | None:
    """Decode a NodeList, or a list of any objects' metadata; None if ``data`` is neither.

    Only labels whose name begins with ``label``, and annotations whose name begins with
    ``annotation``, are kept.

    The nodes are decoded one by one: all at once, they would take a multiple of the kept memory.
    The budget is charged for the kept nodes.

    Raises:
        kgctl.errors.AnswerError: the list takes more than the budget has.
    """
    budget.require(_RAW * data.count(b","))
    nodes: list[NodeObject] = []
    try:
        found = _LIST.decode(data)
        for item in found.items or ():
            kept = read_node(item, budget, label=label, annotation=annotation, platform=platform)
            nodes.append(kept)
            budget.charge(node_size(nodes[-1]))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return NodePage(nodes, found.metadata.resource_version, found.metadata.next)
