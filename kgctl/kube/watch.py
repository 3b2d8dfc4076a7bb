"""Watches: events for the changes of objects as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from kgctl.errors import AnswerError, ClusterError, GoneError, StatusError
from kgctl.kube.budget import OBJECT, json_size, node_size
from kgctl.kube.codec.node_json import read_event
from kgctl.kube.failures import place
from kgctl.kube.fast.wire import MAX_OBJECT
from kgctl.kube.lists import JSON, NODES
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from kgctl.kube.budget import Budget
    from kgctl.kube.http.client import Api, Body
    from kgctl.kube.objects import NodeObject

T = TypeVar("T")

_GRACE = 30.0  # additional seconds until silence counts as a dead connection


class Event(NamedTuple, Generic[T]):
    """One change: ``ADDED``, ``MODIFIED``, ``DELETED``, or ``BOOKMARK`` without an object.

    ``resource_version`` is the version from which a later watch misses nothing, ``size`` the most
    bytes of memory that the object takes.
    """

    kind: str
    object: T | None
    resource_version: str
    size: int = 0


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct):
    metadata: _Version


class _Version(msgspec.Struct, rename="camel"):
    resource_version: str = ""


_LINE = msgspec.json.Decoder(_Line)
_VERSIONED = msgspec.json.Decoder(_Versioned)


def watch_nodes(
    api: Api,
    resource_version: str,
    lasts: int,
    *,
    label: str = "",
    annotation: str = "",
    platform: bool = True,
) -> Generator[Event[NodeObject], None, None]:
    """Yield the changes of nodes after ``resource_version``; see ``watch_objects``.

    Only labels whose name begins with ``label``, and annotations whose name begins with
    ``annotation``, are kept. The platform of nodes is read only with ``platform``.
    """

    def event_of(line: bytes, budget: Budget) -> Event[NodeObject]:
        # in one pass: a large cluster sends a hundred heartbeats a second, each the whole node
        try:
            found = read_event(line, budget)
        except msgspec.ValidationError:
            _line(line, api, budget)  # a Status has no metadata to speak of
            raise
        if found.type == "ERROR":
            _line(line, api, budget)
        version = found.object.metadata.resourceVersion
        if found.type == "BOOKMARK":
            return Event(found.type, None, version)
        node = found.object.node(label=label, annotation=annotation, platform=platform)
        return Event(found.type, node, version, node_size(node))

    return _watch(api, NODES, resource_version, lasts, event_of)


def _decoded(raw: msgspec.Raw, budget: Budget) -> tuple[Any, int]:
    data = bytes(raw)
    size = OBJECT + json_size(data)
    budget.require(size)  # before decoding, which may make it 25 times as large
    return msgspec.json.decode(data), size


def watch_objects(
    api: Api, path: str, resource_version: str, lasts: int, *, selector: str = ""
) -> Generator[Event[Any], None, None]:
    """Yield the changes of the objects of ``path`` that match a label ``selector``.

    The watch ends by itself after ``lasts`` seconds, so that a dead connection is noticed; watch
    again from the last event's resource version. Closing the generator ends the connection.

    Raises:
        kgctl.errors.GoneError: that version is too old; list again.
        kgctl.errors.ConnectionLostError: the connection ended; watch again.
        kgctl.ClusterError: they cannot be watched.
    """

    def event_of(line: bytes, budget: Budget) -> Event[Any]:
        event = _line(line, api, budget)
        version = _VERSIONED.decode(event.object).metadata.resource_version
        if event.type == "BOOKMARK":
            return Event(event.type, None, version)
        kept, size = _decoded(event.object, budget)
        return Event(event.type, kept, version, size)

    return _watch(api, path, resource_version, lasts, event_of, selector)


def _watch(
    api: Api,
    path: str,
    resource_version: str,
    lasts: int,
    event_of: Callable[[bytes, Budget], Event[T]],
    selector: str = "",
) -> Generator[Event[T], None, None]:
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(lasts),
    }
    if selector:
        query["labelSelector"] = selector
    limit = lasts + min(_GRACE, lasts / 2)
    with api.open("GET", path, query, {"Accept": JSON}, timeout=limit) as body:
        for line in _lines(body, api):
            try:
                event = event_of(line, body.budget)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise AnswerError(
                    f"cannot read a change of {path} from {place(api.access)}: it is not the "
                    "JSON of a watch event"
                ) from error
            body.budget.renew()  # the receiver counts what it keeps
            yield event


def _line(line: bytes, api: Api, budget: Budget) -> _Line:
    """Return the event of a line.

    Raises:
        ClusterError: it is an error of the server's.
        msgspec.MsgspecError, ValueError, RecursionError: it is not an event.
    """
    event = _LINE.decode(line)
    if event.type == "ERROR":
        raise _failure(_decoded(event.object, budget)[0], api)
    return event


def _failure(status: object, api: Api) -> ClusterError:
    said = status if isinstance(status, dict) else {}
    code = said.get("code")
    message = printable(str(said.get("message") or "no reason given"), 300)
    text = f"the API server {place(api.access)} ended a watch: {message}"
    if code == 410:
        return GoneError(text, 410, "Expired")
    return StatusError(text, code if isinstance(code, int) else 500, str(said.get("reason")))


def _lines(body: Body, api: Api) -> Iterator[bytes]:
    pieces: list[bytes] = []
    size = 0
    while data := body.read(1 << 16):
        *whole, rest = data.split(b"\n")
        for line in whole:
            pieces.append(line)
            yield b"".join(pieces)
            pieces, size = [], 0
        pieces.append(rest)
        size += len(rest)
        if size > MAX_OBJECT:
            raise AnswerError(f"{place(api.access)} sent an object above {MAX_OBJECT:,} bytes")
