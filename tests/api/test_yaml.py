"""YAML: a real API server and kgctl read it alike, and the server reads kgctl's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.errors import KgctlError
from kgctl.kube.codec.structured import to_yaml
from kgctl.mesh.peer import KEEPALIVES, Peer
from kgctl.state.manifests import Manifests, read_documents
from kgctl.state.peer_objects import peer_of
from tests.apiserver.client import RESOURCES, RefusedError
from tests.support.yamltable import KEYS, NO_KEYS, TEXTS, VALUES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.server import ApiServer

REFUSED = object()
WORDS = [*VALUES, *TEXTS, ".nan", ".NaN"]
NODE = "apiVersion: v1\nkind: Node\nmetadata:\n  name: one\n"
KEY = "BhVYcwBqyoW65YWJp2kVvYNG9VTK1AW7zd7P9M6Sy2k="
PEER = f"""\
apiVersion: kilo.squat.ai/v1alpha1
kind: Peer
metadata: {{name: one}}
spec:
  allowedIPs: [10.5.0.1/32]
  publicKey: {KEY}
  persistentKeepalive: """


def taken(server: ApiServer, kind: str, text: str, content: str = "application/yaml") -> Any:
    """What the server makes of an object that is applied, or ``REFUSED``."""
    path = f"{RESOURCES[kind]}?dryRun=All"
    try:
        return server.request("POST", path, text.encode("utf-8"), content)
    except RefusedError as error:
        if error.status not in (400, 422):
            raise
        return REFUSED


def annotations_read(text: str, path: Path) -> Any:
    """What kgctl makes of the annotations of the one node of a file."""
    path.write_text(text)
    try:
        (node,) = Manifests([str(path)]).read().nodes
    except KgctlError:
        return REFUSED
    return dict(node.annotations)


def test_a_word_as_an_annotation(api_server: ApiServer, tmp_path: Path) -> None:
    for word in WORDS:
        text = f"{NODE}  annotations:\n    a: {word}\n"
        found = taken(api_server, "Node", text)
        stored = found if found is REFUSED else found["metadata"]["annotations"]
        assert annotations_read(text, tmp_path / "m.yaml") == stored, word


def test_a_word_as_the_name_of_an_annotation(api_server: ApiServer, tmp_path: Path) -> None:
    for word in (*KEYS, *NO_KEYS):
        text = f"{NODE}  annotations:\n    ? {word}\n    : v\n"
        found = taken(api_server, "Node", text)
        read = annotations_read(text, tmp_path / "m.yaml")
        if found is not REFUSED:
            assert read == found["metadata"]["annotations"] == {KEYS[word]: "v"}
        elif word in NO_KEYS:
            assert read is REFUSED
        else:  # "=" cannot be the name of an annotation, and so on
            assert read == {KEYS[word]: "v"}


def test_a_word_as_a_keepalive(api_server: ApiServer) -> None:
    for word in WORDS:
        found = taken(api_server, "Peer", PEER + word)
        (document,) = read_documents("f", (PEER + word).encode())
        peer = peer_of(document)
        stored = None if found is REFUSED else found["spec"].get("persistentKeepalive", 0)
        if stored is None or stored not in KEEPALIVES:
            assert not isinstance(peer, Peer), word
        else:
            assert isinstance(peer, Peer), (word, peer)
            assert peer.persistent_keepalive == stored, word


@pytest.mark.parametrize("number", ["25.0", "2.5e1", "25", "1e1", "25.5", '"25"', "1e400", "true"])
def test_a_number_of_json_as_a_keepalive(api_server: ApiServer, number: str) -> None:
    spec = f'"allowedIPs": ["10.5.0.1/32"], "publicKey": "{KEY}", "persistentKeepalive": {number}'
    head = '"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "metadata": {"name": "one"}'
    text = f'{{{head}, "spec": {{{spec}}}}}'
    found = taken(api_server, "Peer", text, "application/json")
    try:
        peer: object = peer_of(read_documents("f", text.encode())[0])
    except KgctlError:
        peer = REFUSED
    if found is REFUSED:
        assert not isinstance(peer, Peer)
    else:
        assert isinstance(peer, Peer)
        assert peer.persistent_keepalive == found["spec"]["persistentKeepalive"]


HOSTILE = (
    "", " ", " a ", "a\n", "\n\na\n b", "\ta", "a: b", "- a", "# a", "'", '"', "\\", "%a", "@a",
    "`a", "&a", "*a", "!a", "|", ">", "?", "{a", "[a", "---", "...",
    "\u2028\x85\ufeff", "\U0001f600\x7f",
    "\x1b[0m", "long " * 60, "x" * 200, "a #b", "a:", "null\n", "ä: ö",
)  # fmt: skip


def test_what_is_written_arrives(api_server: ApiServer) -> None:
    texts = [*WORDS, *HOSTILE]
    annotations = {f"a{at}": text for at, text in enumerate(texts)}
    in_a_list = [text for text in texts if text]  # an empty one in a list is refused in JSON, too
    spec = {"allowedIPs": in_a_list, "publicKey": "y", "presharedKey": "1e3"}
    metadata = {"name": "1e3", "annotations": annotations, "labels": {"y": "n", "08": "0o7"}}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    peer = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer"}
    found = taken(api_server, "Node", to_yaml(node))["metadata"]
    assert found["annotations"] == annotations
    assert (found["name"], found["labels"]) == ("1e3", {"y": "n", "08": "0o7"})
    written = to_yaml({**peer, "metadata": {"name": "y"}, "spec": spec})
    assert taken(api_server, "Peer", written)["spec"] == spec
    assert yaml.safe_load(written)["spec"] == spec


def test_of_two_values_the_later_one_counts(api_server: ApiServer, tmp_path: Path) -> None:
    labels = "  labels: &l {a: '1', b: '2'}\n"
    text = f"{NODE}{labels}  annotations: {{a: '3', c: '4', <<: *l, b: '5'}}\n"
    found = taken(api_server, "Node", text)["metadata"]["annotations"]
    assert annotations_read(text, tmp_path / "m.yaml") == found == {"a": "1", "c": "4", "b": "5"}
