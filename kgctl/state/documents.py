"""YAML and JSON text, decoded into documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.kube.errors import ManifestError
from kgctl.kube.fast import fast_lane
from kgctl.mesh.text import NotTextError, decoded, printable

if TYPE_CHECKING:
    from kgctl.kube.objects import Advance

_NO_UTF8 = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_SMALL = 1 << 20  # bytes of JSON that are decoded whole: misspelt fields are seen, too
_CONSTRUCTING = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip
"""What PyYAML raises, besides its own errors, where a value is not what its tag says."""


def read_documents(label: str, content: bytes, advance: Advance | None = None) -> list[Any]:
    """Return the documents of a file that errors call ``label``; an empty document is None.

    Of the objects in a document only what kgctl needs is sure to be there: type, name, labels,
    annotations and spec. JSON is YAML too, but is decoded a hundred times as fast, so it is
    tried first. ``advance`` is told how far YAML has been read. The file may be in UTF-16.

    Raises:
        ManifestError: the content is neither.
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
    """Decode one JSON document, or several one after the other; None where it is no JSON."""
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
            # the standard library finds the end, but would let halves of characters pass
            documents.append(msgspec.json.decode(text[start:position]))
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return documents


def _objects(content: bytes, advance: Advance | None) -> list[Any] | None:
    """Read YAML without what is not needed; None where it is too unusual for that."""
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
        _as_utf8(label, content)  # where that is what is wrong, it is what to say
        raise ManifestError(
            f"{label}: neither YAML nor JSON: {printable(' '.join(str(error).split()))}"
        ) from None
    except _CONSTRUCTING as error:
        problem = printable(" ".join(str(error).split())) or type(error).__name__
        raise ManifestError(f"{label}: cannot be decoded: {problem}") from None
