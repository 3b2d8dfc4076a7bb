"""Cluster state from manifest files: decoding of YAML and JSON, and the objects in them.

The files are those that ``kubectl get nodes,peers -o yaml`` writes, or people keep in git.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from kgctl.errors import ManifestError
from kgctl.kilo import API_VERSION, GROUP
from kgctl.kube.fast import fast_lane
from kgctl.kube.objects import NodeObject
from kgctl.mesh.node import Platform
from kgctl.mesh.text import NotTextError, decoded, nearest, printable
from kgctl.state.interface import Objects
from kgctl.state.manifest_files import STDIN, manifest_files
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.kube.objects import Advance
    from kgctl.state.interface import Kind


_NO_UTF8 = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
NO_OBJECTS = "no Kubernetes objects"
"""The reason why a file that a search found is not read, if it is YAML or JSON."""

_SMALL = 1 << 20  # bytes of JSON to decode whole, which keeps misspelt fields
_CONSTRUCTING = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip
"""The errors that PyYAML raises, besides its own, if a value does not match its tag."""


def read_documents(label: str, content: bytes, advance: Advance | None = None) -> list[Any]:
    """Return the documents of a file that errors call ``label``; an empty document is None.

    Objects in a document may be reduced to what kgctl needs: type, name, labels, annotations and
    spec. JSON is YAML too, but decoding it as JSON is a hundred times as fast, so that is tried
    first. ``advance`` receives the progress in YAML. The file may be in UTF-16.

    Raises:
        ManifestError: the content is neither YAML nor JSON.
    """
    if content.startswith(_NO_UTF8) or b"\0" in content[:4]:
        content = _as_utf8(label, content)
    if content.lstrip()[:1] in (b"{", b"["):
        documents = _json(content)
        if documents is not None:
            return documents
    return _yaml(label, content, advance)


def _as_utf8(label: str, content: bytes) -> bytes:
    try:
        return decoded(content).encode("utf-8", "surrogatepass")
    except NotTextError as error:
        raise ManifestError(f"{label}: {error}") from None


def _json(content: bytes) -> list[Any] | None:
    """Decode one or several concatenated JSON documents; None if the content is not JSON."""
    import msgspec

    if len(content) > _SMALL and fast_lane():
        from kgctl.kube.fast.json_list import read_list

        slim = read_list(content)
        if slim is not None:
            return [slim]
    try:
        return [msgspec.json.decode(content)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _json_stream(content)


def _json_stream(content: bytes) -> list[Any] | None:
    import json

    import msgspec

    decoder, documents, position = json.JSONDecoder(), [], 0
    try:
        text = content.decode().rstrip()
        while position < len(text):
            while text[position].isspace():
                position += 1
            start = position
            _, position = decoder.raw_decode(text, start)
            # the standard library finds the end, but accepts lone surrogates
            documents.append(msgspec.json.decode(text[start:position]))
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return documents


def _objects(content: bytes, advance: Advance | None) -> list[Any] | None:
    """Read only the needed parts of YAML; None if the YAML is too unusual for that."""
    from kgctl.kube.fast.yaml_objects import ObjectReader, UnusualError

    try:
        return ObjectReader(content, advance).documents()
    except UnusualError:
        return None


def _yaml(label: str, content: bytes, advance: Advance | None) -> list[Any]:
    import yaml

    from kgctl.kube.codec.yaml_loader import BoundedLoader

    try:
        found = _objects(content, advance) if fast_lane() else None
        return list(yaml.load_all(content, Loader=BoundedLoader)) if found is None else found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = printable(str(error.problem or error.context))
        raise ManifestError(f"{label}: neither YAML nor JSON{where}: {problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        _as_utf8(label, content)  # raises the better error if the text is not UTF-8
        raise ManifestError(
            f"{label}: neither YAML nor JSON: {printable(' '.join(str(error).split()))}"
        ) from None
    except _CONSTRUCTING as error:
        problem = printable(" ".join(str(error).split())) or type(error).__name__
        raise ManifestError(f"{label}: cannot be decoded: {problem}") from None


_NODE = ("v1", "Node")
_PEER = (API_VERSION, "Peer")
_Kind = tuple[str, str]  # apiVersion and kind
_LISTS = {("v1", "List"): None, ("v1", "NodeList"): _NODE, (_PEER[0], "PeerList"): _PEER}


class Manifests:
    """A source that reads manifest files: YAML or JSON, one object, a List or many documents."""

    def __init__(self, names: Sequence[str], advance: Advance | None = None) -> None:
        """Take the names of files and directories; ``-`` is standard input.

        ``advance`` receives the progress in the current file, in characters.
        """
        self._names = names
        self._advance = advance

    def read(self) -> Objects:
        """Read every file, in the order given; those in and below a directory sorted by path.

        Files found in a directory are skipped if they hold no Kubernetes objects: repositories
        have other YAML and JSON too.

        Raises:
            ManifestError: a file cannot be read; or a named file is not YAML or JSON, or holds
                something that is not a Kubernetes object.
        """
        return objects_in((one for name in self._names for one in _contents(name)), self._advance)

    def names(self, kind: Kind) -> Sequence[str]:
        """Return the names of all nodes or peers; this reads the files."""
        objects = self.read()
        if kind == "nodes":
            return [node.name for node in objects.nodes]
        return [peer_name(peer) for peer in objects.peers]


def objects_in(
    contents: Iterable[tuple[str, bytes, bool]], advance: Advance | None = None
) -> Objects:
    """Return the objects in files, each given as label, content, and whether a search found it.

    In a file that a search found, documents that are not Kubernetes objects are skipped.

    Raises:
        ManifestError: as for :meth:`Manifests.read`.
    """
    collected = _Collected()
    read_at = 0.0
    for label, content, found in contents:
        read_at = read_at or time.time()
        if found:
            _search(collected, label, content, advance)
            continue
        for document in read_documents(label, content, advance):
            collected.take(label, document)
    return collected.objects(read_at)


def _search(collected: _Collected, label: str, content: bytes, advance: Advance | None) -> None:
    """Take the objects of a file that a search found, or record why it has none."""
    try:
        documents = read_documents(label, content, advance)
    except ManifestError as error:
        collected.unread[label] = str(error).removeprefix(f"{label}: ")
        return
    objects = [one for one in documents if _is_object(one)]
    if not objects:
        collected.unread[label] = NO_OBJECTS
    for one in objects:
        collected.take(label, one)


class _Collected:
    """The nodes and peers found so far."""

    def __init__(self) -> None:
        self.nodes: list[NodeObject] = []
        self.peers: list[Mapping[str, Any]] = []
        self.passed_over: Counter[str] = Counter()
        self.unread: dict[str, str] = {}

    def objects(self, read_at: float) -> Objects:
        """Return the objects found."""
        return Objects(self.nodes, self.peers, self.passed_over, self.unread, read_at)

    def take(self, label: str, document: object) -> None:
        """Add one document; for a List, each of its items, which are Nodes in a NodeList."""
        waiting: list[tuple[object, _Kind | None]] = [(document, None)]
        lists: set[int] = set()
        while waiting:
            one, within = waiting.pop()
            if one is None:
                continue
            if not isinstance(one, dict):
                raise ManifestError(
                    f"{label}: a document is not a Kubernetes object but {_kind_of(one)}"
                )
            kind = _type_of(label, one, within)
            if kind not in _LISTS:
                self._take_object(label, kind, one)
            elif id(one) not in lists:  # with YAML's aliases, a List may be its own item
                lists.add(id(one))
                waiting += [(item, _LISTS[kind]) for item in reversed(_items(label, one))]

    def _take_object(self, label: str, kind: _Kind, document: Mapping[str, Any]) -> None:
        if kind == _NODE:
            self.nodes.append(_node(label, document))
        elif kind == _PEER:
            self.peers.append(document)
        else:
            self.passed_over["/".join(map(printable, kind))] += 1


def lookalikes(passed_over: Mapping[str, int]) -> list[str]:
    """Return hints about objects that were skipped because of a misspelt kind or version."""
    return [
        f"{count} {kind}: write {'/'.join(meant)}"
        for kind, count in sorted(passed_over.items())
        if (meant := _meant(kind)) is not None
    ]


def _meant(passed_over: str) -> _Kind | None:
    version, _, kind = passed_over.rpartition("/")
    group = version.rpartition("/")[0]
    for known in (_NODE, _PEER, *_LISTS):
        if kind.lower() not in (known[1].lower(), f"{known[1].lower()}s"):
            continue
        ours = known[0].rpartition("/")[0]
        if known[0] == version or (ours and ours in (group, nearest(group, [ours]))):
            return known
    if group == GROUP and nearest(kind, [_PEER[1]]):
        return _PEER
    return None


def _contents(name: str) -> Iterator[tuple[str, bytes, bool]]:
    """Yield label and content of each file, and whether a search found it."""
    if name == STDIN:
        yield "standard input", sys.stdin.buffer.read(), False
        return
    for file in manifest_files(name):
        yield file.label, file.read(), file.found


def _is_object(document: object) -> bool:
    return isinstance(document, dict) and all(
        isinstance(document.get(field), str) for field in ("apiVersion", "kind")
    )


def _type_of(label: str, document: Mapping[str, Any], within: _Kind | None) -> _Kind:
    version, kind = document.get("apiVersion"), document.get("kind")
    if version is None and kind is None and within is not None:
        return within
    if not isinstance(version, str) or not isinstance(kind, str):
        raise ManifestError(
            f"{label}: an object lacks apiVersion or kind; "
            f"give the output of: kubectl get nodes,peers.kilo.squat.ai -o yaml"
        )
    return version, kind


def _items(label: str, document: Mapping[str, Any]) -> list[object]:
    items = document.get("items") or []
    if not isinstance(items, list):
        raise ManifestError(f"{label}: the items of a List are not a list but {_kind_of(items)}")
    return items


def _node(label: str, document: Mapping[str, Any]) -> NodeObject:
    metadata = _mapping(label, document, "metadata")
    name = metadata.get("name")
    if not isinstance(name, str | None):
        raise ManifestError(
            f"{label}: metadata.name of a Node is not a string but {_kind_of(name)}; put it in "
            "quotes"
        )
    if not name:
        raise ManifestError(f"{label}: a Node has no metadata.name")
    where = f'{label}: Node "{printable(name)}"'
    spec = _mapping(where, document, "spec")
    pod_cidr = spec.get("podCIDR") or ""
    if not isinstance(pod_cidr, str):
        raise ManifestError(f"{where}: spec.podCIDR is not a string but {_kind_of(pod_cidr)}")
    return NodeObject(
        name,
        pod_cidr,
        _texts(where, metadata, "labels"),
        _texts(where, metadata, "annotations"),
        _platform(spec),
    )


def _platform(spec: Mapping[str, Any]) -> Platform:
    """Return the platform in the spec of a Node, without values that are not text."""
    pod_cidrs, provider_id, taints = map(spec.get, ("podCIDRs", "providerID", "taints"))
    keys = (taint.get("key") for taint in _list(taints) if isinstance(taint, dict))
    return Platform(
        tuple(one for one in _list(pod_cidrs) if isinstance(one, str)),
        provider_id if isinstance(provider_id, str) else "",
        tuple(key for key in keys if isinstance(key, str)),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(where: str, document: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = document.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ManifestError(f"{where}: {field} is not a mapping but {_kind_of(value)}")
    return value


def _texts(where: str, metadata: Mapping[str, Any], field: str) -> Mapping[str, str]:
    values = _mapping(where, metadata, field)
    if None in values.values():  # Kubernetes reads "a:" without a value as an empty text
        values = {key: "" if value is None else value for key, value in values.items()}
    for key, value in values.items():
        if not isinstance(value, str):
            raise ManifestError(
                f"{where}: {field[:-1]} {printable(key)} is not a string but "
                f"{_kind_of(value)}; put it in quotes"
            )
    return values


def _kind_of(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")
