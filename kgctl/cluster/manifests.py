"""Cluster state from manifest files, as ``kubectl get nodes,peers -o yaml`` writes them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgctl.cluster.documents import read_documents
from kgctl.cluster.errors import ManifestError
from kgctl.cluster.interface import NodeObject, Objects
from kgctl.cluster.peerobjects import peer_name
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.cluster.interface import Advance, Kind

STDIN = "-"
_SUFFIXES = (".json", ".yaml", ".yml")
_NODE = ("v1", "Node")
_PEER = ("kilo.squat.ai/v1alpha1", "Peer")
_Kind = tuple[str, str]  # apiVersion and kind
_LISTS = {("v1", "List"): None, ("v1", "NodeList"): _NODE, (_PEER[0], "PeerList"): _PEER}


class Manifests:
    """A source that reads manifest files: YAML or JSON, one object, a List or many documents."""

    def __init__(self, names: Sequence[str], advance: Advance | None = None) -> None:
        """Take the names of files and directories; ``-`` is standard input.

        ``advance`` is told how far the file at hand has been read, in characters.
        """
        self._names = names
        self._advance = advance

    def read(self) -> Objects:
        """Read every file, in the order given; a directory's in order of their names.

        Raises:
            ManifestError: a file cannot be read, is no YAML or JSON, or holds something that
                is no Kubernetes object.
        """
        collected = _Collected()
        for name in self._names:
            for label, content in _contents(name):
                for document in read_documents(label, content, self._advance):
                    collected.take(label, document)
        return Objects(collected.nodes, collected.peers, collected.passed_over)

    def names(self, kind: Kind) -> Sequence[str]:
        """Return the names of all nodes or peers; reading them is reading the files."""
        objects = self.read()
        if kind == "nodes":
            return [node.name for node in objects.nodes]
        return [peer_name(peer) for peer in objects.peers]


class _Collected:
    """The nodes and peers found so far."""

    def __init__(self) -> None:
        self.nodes: list[NodeObject] = []
        self.peers: list[Mapping[str, Any]] = []
        self.passed_over: Counter[str] = Counter()

    def take(self, label: str, document: object) -> None:
        """Sort one document in; the items of a List one by one, of a NodeList as Nodes."""
        waiting: list[tuple[object, _Kind | None]] = [(document, None)]
        lists: set[int] = set()
        while waiting:
            one, within = waiting.pop()
            if one is None:
                continue
            if not isinstance(one, dict):
                raise ManifestError(
                    f"{label}: a document is no Kubernetes object but {_kind_of(one)}"
                )
            kind = _type_of(label, one, within)
            if kind not in _LISTS:
                self._take_object(label, kind, one)
            elif id(one) not in lists:  # by YAML's aliases a List may even be its own item
                lists.add(id(one))
                waiting += [(item, _LISTS[kind]) for item in reversed(_items(label, one))]

    def _take_object(self, label: str, kind: _Kind, document: Mapping[str, Any]) -> None:
        if kind == _NODE:
            self.nodes.append(_node(label, document))
        elif kind == _PEER:
            self.peers.append(document)
        else:
            self.passed_over["/".join(map(printable, kind))] += 1


def _contents(name: str) -> Iterator[tuple[str, bytes]]:
    if name == STDIN:
        yield "standard input", sys.stdin.buffer.read()
        return
    path = Path(name)
    try:
        files = _manifests_in(path) if path.is_dir() else [path]
        for file in files:
            yield printable(str(file)), file.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"cannot read {printable(str(error.filename or name))}: {error.strerror}"
        ) from None


def _manifests_in(directory: Path) -> list[Path]:
    found = sorted(
        path for path in directory.iterdir() if path.suffix in _SUFFIXES and path.is_file()
    )
    if not found:
        raise ManifestError(
            f"{printable(str(directory))} holds no manifest: no file ends in {', '.join(_SUFFIXES)}"
        )
    return found


def _type_of(label: str, document: Mapping[str, Any], within: _Kind | None) -> _Kind:
    version, kind = document.get("apiVersion"), document.get("kind")
    if version is None and kind is None and within is not None:
        return within
    if not isinstance(version, str) or not isinstance(kind, str):
        raise ManifestError(
            f"{label}: an object lacks apiVersion or kind; "
            f"give it what this prints: kubectl get nodes,peers.kilo.squat.ai -o yaml"
        )
    return version, kind


def _items(label: str, document: Mapping[str, Any]) -> list[object]:
    items = document.get("items") or []
    if not isinstance(items, list):
        raise ManifestError(f"{label}: the items of a List are no list but {_kind_of(items)}")
    return items


def _node(label: str, document: Mapping[str, Any]) -> NodeObject:
    metadata = _mapping(label, document, "metadata")
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise ManifestError(f"{label}: a Node has no metadata.name")
    where = f'{label}: Node "{printable(name)}"'
    pod_cidr = _mapping(where, document, "spec").get("podCIDR") or ""
    if not isinstance(pod_cidr, str):
        raise ManifestError(f"{where}: spec.podCIDR is no text but {_kind_of(pod_cidr)}")
    return NodeObject(
        name, pod_cidr, _texts(where, metadata, "labels"), _texts(where, metadata, "annotations")
    )


def _mapping(where: str, document: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = document.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ManifestError(f"{where}: {field} is no mapping but {_kind_of(value)}")
    return value


def _texts(where: str, metadata: Mapping[str, Any], field: str) -> Mapping[str, str]:
    values = _mapping(where, metadata, field)
    for key, value in values.items():
        if not isinstance(key, str):
            raise ManifestError(
                f"{where}: the name of {'an' if field[0] == 'a' else 'a'} {field[:-1]} is no text "
                f"but {_kind_of(key)}; put it in quotes"
            )
        if not isinstance(value, str):
            raise ManifestError(
                f"{where}: {field[:-1]} {printable(key)} is no text but "
                f"{_kind_of(value)}; put it in quotes"
            )
    return values


def _kind_of(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")
