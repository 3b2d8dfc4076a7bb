"""Consistent lists of objects, read page by page."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeGuard, TypeVar

from kgctl.errors import AnswerError, GoneError
from kgctl.kube.failures import place
from kgctl.kube.fast import fast_lane
from kgctl.kube.fast.protobuf import CONTENT_TYPE, NodePage, read_node_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kgctl.kube.budget import Budget
    from kgctl.kube.http.client import Api, Body
    from kgctl.kube.objects import NodeObject

NODES = "/api/v1/nodes"

PAGE = 500
"""Objects per request, as in kubectl."""

JSON = "application/json"
PROTOBUF = f"{CONTENT_TYPE}, {JSON};q=0.5"
_NAMES = ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
ONLY_NAMES = f"{CONTENT_TYPE}{_NAMES}, {JSON}{_NAMES};q=0.5, {JSON};q=0.1"

_MAX_PAGES = 10_000
_MAX_TOKEN = 1 << 14  # characters of the token for a next page; an API server's have some 200
_STARTS = 3  # attempts to get all pages of one moment


class _Page(Protocol):
    @property
    def resource_version(self) -> str: ...

    @property
    def next_page(self) -> str: ...


P = TypeVar("P", bound=_Page)
T = TypeVar("T")


class ObjectPage(NamedTuple):
    """One page of a list of objects; ``next_page`` is empty in the last one."""

    objects: Sequence[Mapping[str, Any]]
    resource_version: str
    next_page: str


def list_nodes(
    api: Api,
    *,
    cached: bool = True,
    accept: str = PROTOBUF,
    label: str = "",
    annotation: str = "",
    platform: bool = False,
) -> list[NodeObject]:
    """Return every node, sorted by name; labels other than ``label`` may be left out.

    Only annotations whose name begins with ``annotation`` are kept. The platform of nodes is read
    only with ``platform``.

    With ``cached``, the API server answers from its watch cache, which is as fresh as the view of
    Kilo's agents and takes half the time; it then sends one large page, regardless of the limit.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(
        api, NODES, accept, lambda body: _node_page(body, label, annotation, platform), cached
    )
    found = [node for page in pages for node in page.nodes]
    return sorted(found, key=itemgetter(0))  # by name: the cache lists in no particular order


def ask_for_nodes(api: Api, *, cached: bool = True) -> None:
    """Send the first request of ``list_nodes`` now, so that the server works on it meanwhile.

    Raises:
        kgctl.ClusterError: the server cannot be reached; the message says what to do.
    """
    api.ask(NODES, _first(cached, PAGE), PROTOBUF)


def list_objects(api: Api, path: str) -> list[Mapping[str, Any]]:
    """Return every object of ``path`` as stored now: people list what they just created.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return [one for page in _pages(api, path, JSON, _object_page, False) for one in page.objects]


class Listed(NamedTuple, Generic[T]):
    """All stored objects of a kind, and the version from which a watch continues."""

    objects: Sequence[T]
    resource_version: str


def nodes_to_watch(
    api: Api, label: str = "", annotation: str = "", *, platform: bool = True
) -> Listed[NodeObject]:
    """Return every node as stored now, and the version to watch from.

    Only labels whose name begins with ``label``, and annotations whose name begins with
    ``annotation``, are kept. The platform of nodes is read only with ``platform``.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(
        api, NODES, PROTOBUF, lambda body: _node_page(body, label, annotation, platform), False
    )
    found = [node for page in pages for node in page.nodes]
    return Listed(found, pages[0].resource_version)


def objects_to_watch(api: Api, path: str) -> Listed[Mapping[str, Any]]:
    """Return every object of ``path`` as stored now, and the version to watch from.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(api, path, JSON, _object_page, False)
    return Listed([one for page in pages for one in page.objects], pages[0].resource_version)


def list_names(api: Api, path: str) -> list[str]:
    """Return the sorted names of the objects of ``path``, and transfer little else.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(api, path, ONLY_NAMES, _node_page, True)
    return sorted(item.name for page in pages for item in page.nodes)


def _pages(api: Api, path: str, accept: str, decode: Callable[[Body], P], cached: bool) -> list[P]:
    """Return all pages of one moment, that is, of one resource version.

    The token for a next page expires after some minutes (410). Then the list starts again, the
    last time without pages, as in client-go. All starts share one budget.
    """
    budget = api.budget()
    for start in range(_STARTS):
        whole = start == _STARTS - 1
        budget.renew()  # the pages of the last start are not kept
        try:
            return _of_one_moment(api, path, accept, decode, cached, 0 if whole else PAGE, budget)
        except GoneError:
            if whole:
                raise
    raise AssertionError("the last start returns or raises")


def _of_one_moment(
    api: Api,
    path: str,
    accept: str,
    decode: Callable[[Body], P],
    cached: bool,
    size: int,
    budget: Budget,
) -> list[P]:
    accept = accept if fast_lane() else _without_protobuf(accept)
    pages = [api.get(path, _first(cached, size), accept, decode, budget)]
    tokens: set[str] = set()
    while token := pages[-1].next_page:
        if len(pages) == _MAX_PAGES or token in tokens or len(token) > _MAX_TOKEN:
            raise AnswerError(f"the list {path} of {place(api.access)} does not end")
        query = {"limit": str(size or PAGE), "continue": token}
        tokens.add(token)
        pages.append(api.get(path, query, accept, decode, budget))
        if pages[-1].resource_version != pages[0].resource_version:
            raise GoneError(
                f"the pages of {path} at {place(api.access)} have different versions: try again",
                410,
            )
    return pages


def _without_protobuf(accept: str) -> str:
    return ", ".join(kind for kind in accept.split(", ") if not kind.startswith(CONTENT_TYPE))


def _first(cached: bool, size: int) -> dict[str, str]:
    """Return the query for the first page of a list, with ``size`` objects; 0 for all."""
    query = {"limit": str(size)} if size else {}
    if cached:
        query["resourceVersion"] = "0"
    return query


def _node_page(
    body: Body, label: str = "", annotation: str = "", platform: bool = False
) -> NodePage:
    if body.content_type.startswith(CONTENT_TYPE):
        return read_node_list(
            body.read,
            label,
            annotation=annotation,
            platform=platform,
            charge=body.budget.charge,
        )
    from kgctl.kube.codec.node_json import read_node_json

    data = body.whole()
    page = read_node_json(data, body.budget, label=label, annotation=annotation, platform=platform)
    if page is None:
        raise body.unreadable(data)
    return page


def _object_page(body: Body) -> ObjectPage:
    content = body.json()
    metadata = content.get("metadata") if isinstance(content, dict) else None
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(metadata, dict) or not _objects(items):
        raise body.unreadable(b"")
    for item in items:
        if isinstance(item.get("metadata"), dict):
            item["metadata"].pop("managedFields", None)  # half of an object, never needed
    version, next_page = metadata.get("resourceVersion"), metadata.get("continue")
    return ObjectPage(items, str(version), str(next_page or ""))


def _objects(items: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)
