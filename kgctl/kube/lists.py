"""Lists of objects: page by page, and of one moment."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeGuard, TypeVar

from kgctl.kube.errors import AnswerError, GoneError
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
"""Objects asked for at once, as in kubectl."""

JSON = "application/json"
PROTOBUF = f"{CONTENT_TYPE}, {JSON};q=0.5"
_NAMES = ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
ONLY_NAMES = f"{CONTENT_TYPE}{_NAMES}, {JSON}{_NAMES};q=0.5, {JSON};q=0.1"

_MAX_PAGES = 10_000
_MAX_TOKEN = 1 << 14  # characters of a token for a next page; an API server's have some 200
_STARTS = 3  # how often a list is begun when its pages cannot be of one moment


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
    """Return every node, sorted by name; other labels than ``label`` may be left out.

    Annotations are kept whose name begins with ``annotation``; what the nodes run on is read where
    ``platform`` asks for it.

    With ``cached`` the API server answers from its watch cache, which is as fresh as what Kilo's
    agents see and costs half the time; then it sends one large page, whatever was asked for.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(
        api, NODES, accept, lambda body: _node_page(body, label, annotation, platform), cached
    )
    found = [node for page in pages for node in page.nodes]
    return sorted(found, key=itemgetter(0))  # by name: the cache lists in no order of its own


def ask_for_nodes(api: Api, *, cached: bool = True) -> None:
    """Send the first request of ``list_nodes`` now, so that the server works on it meanwhile.

    Raises:
        kgctl.ClusterError: the server cannot be reached; the message says what to do.
    """
    api.ask(NODES, _first(cached, PAGE), PROTOBUF)


def list_objects(api: Api, path: str) -> list[Mapping[str, Any]]:
    """Return every object of ``path`` as it is stored now: people list what they just created.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return [one for page in _pages(api, path, JSON, _object_page, False) for one in page.objects]


class Listed(NamedTuple, Generic[T]):
    """All objects of a kind as they are stored, and the moment: a watch goes on from there."""

    objects: Sequence[T]
    resource_version: str


def nodes_to_watch(api: Api, annotation: str = "") -> Listed[NodeObject]:
    """Return every node as it is stored now, and where to watch on from; see ``list_nodes``.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(
        api, NODES, PROTOBUF, lambda body: _node_page(body, "", annotation, platform=True), False
    )
    found = [node for page in pages for node in page.nodes]
    return Listed(found, pages[0].resource_version)


def objects_to_watch(api: Api, path: str) -> Listed[Mapping[str, Any]]:
    """Return every object of ``path`` as it is stored now, and where to watch on from.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(api, path, JSON, _object_page, False)
    return Listed([one for page in pages for one in page.objects], pages[0].resource_version)


def list_names(api: Api, path: str) -> list[str]:
    """Return the sorted names of what ``path`` lists, having transferred little else.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    pages = _pages(api, path, ONLY_NAMES, _node_page, True)
    return sorted(item.name for page in pages for item in page.nodes)


def _pages(api: Api, path: str, accept: str, decode: Callable[[Body], P], cached: bool) -> list[P]:
    """Return all pages of one moment: of one resource version.

    A token for a next page expires after some minutes (410); then the list begins anew, and the
    last time without pages, as client-go does. All of that is one list, with one time.
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
            raise AnswerError(f"the list {path} of {place(api.access)} has no end")
        query = {"limit": str(size or PAGE), "continue": token}
        tokens.add(token)
        pages.append(api.get(path, query, accept, decode, budget))
        if pages[-1].resource_version != pages[0].resource_version:
            raise GoneError(
                f"the pages of {path} at {place(api.access)} are of different moments: try again",
                410,
            )
    return pages


def _without_protobuf(accept: str) -> str:
    return ", ".join(kind for kind in accept.split(", ") if not kind.startswith(CONTENT_TYPE))


def _first(cached: bool, size: int) -> dict[str, str]:
    """Return the query for the first page of a list, of ``size`` objects; 0 is for all."""
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
    page = read_node_json(data, body.budget, annotation=annotation, platform=platform)
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
            item["metadata"].pop("managedFields", None)  # half of an object, and never needed
    version, next_page = metadata.get("resourceVersion"), metadata.get("continue")
    return ObjectPage(items, str(version), str(next_page or ""))


def _objects(items: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)
