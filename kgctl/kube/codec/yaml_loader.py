"""PyYAML's fastest safe loader, with limits that protect the process.

Import this module only where YAML is read: PyYAML takes 15 ms to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from kgctl.kube.codec.yaml_scalars import key_of, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from yaml import SafeLoader
else:
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DEEPEST = 200
"""Levels of nesting that a document may have; Kubernetes objects have less than a quarter."""

LARGEST_MERGE = 10_000
"""Entries that ``<<`` may merge into one mapping."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_TEXT = f"{_TAG}str"
_TAGS: dict[type, str] = {
    bool: f"{_TAG}bool",
    float: f"{_TAG}float",
    int: f"{_TAG}int",
    type(None): f"{_TAG}null",
    str: _TEXT,
}
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "float": (float, int),
    "int": (int,),
    "null": (type(None),),
}
"""The types that an explicit tag allows."""


class BoundedLoader(SafeLoader):
    """Loads plain values as Kubernetes does; refuses excessive nesting and merging.

    The C loader recurses for each level without checking the stack: 100 kB of ``[`` crash the
    interpreter. Both loaders call the first two methods when they enter and leave a level. Mappings
    that each merge ten others, and so on, would fill the memory.
    """

    _depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Enter a level.

        Raises:
            yaml.YAMLError: the document is nested too deeply.
        """
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep")
        super().descend_resolver(current_node, current_index)

    def ascend_resolver(self) -> None:
        """Leave a level."""
        self._depth -= 1
        super().ascend_resolver()

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the implicit tag of a value."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return _MERGE if value == "<<" else _TAGS[type(value_of(value))]

    def flatten_mapping(self, node: Any) -> None:
        """Replace each ``<<`` in a mapping by the entries that it merges; later values win.

        Raises:
            yaml.YAMLError: there are too many entries, or a merged value is not a mapping.
        """
        if all(key.tag != _MERGE for key, _ in node.value):
            return
        flat: list[Any] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for part in reversed(parts):
                    flat += self._merged(node, part)
                    if len(flat) > LARGEST_MERGE:
                        raise yaml.YAMLError(f"it merges more than {LARGEST_MERGE} entries")
            else:
                flat.append((key, value))
        node.value = flat

    def _merged(self, node: Any, part: Any) -> list[Any]:
        if not isinstance(part, yaml.MappingNode):
            raise _fault(node, part, f"expected a mapping for merging, but found {part.id}")
        self.flatten_mapping(part)
        return list(part.value)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping with text keys.

        Raises:
            yaml.YAMLError: a key is a list, a mapping, or cannot be text.
        """
        if isinstance(node, yaml.MappingNode):
            self.flatten_mapping(node)
        return {
            self._key(node, key): self.construct_object(value, deep=deep)
            for key, value in node.value
        }

    def _key(self, node: Any, key: Any) -> str:
        if not isinstance(key, yaml.ScalarNode):
            raise _fault(node, key, "found unhashable key")
        name = key.value if key.tag in (_TEXT, _MERGE) else key_of(key.value)
        if name is None:
            raise _fault(node, key, "found a key that is not text")
        return str(name)


class TextLoader(BoundedLoader):
    """Loads numbers as text, as written: for files without numbers."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the implicit tag of a value."""
        tag = super().resolve(kind, value, implicit)
        return _TEXT if tag in (_TAGS[int], _TAGS[float]) else tag


def _fault(node: Any, part: Any, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(
        "while constructing a mapping", node.start_mark, problem, part.start_mark
    )


def _tagged(kind: str) -> Callable[[BoundedLoader, Any], Any]:
    def construct(loader: BoundedLoader, node: Any) -> Any:
        text = loader.construct_scalar(node)
        value = value_of(text)
        if type(value) not in _TYPES[kind]:
            raise ValueError(f"{text!r} is no {kind}")
        return value

    return construct


def _text(loader: BoundedLoader, node: Any) -> Any:
    return loader.construct_scalar(node)


for _kind in _TYPES:
    BoundedLoader.add_constructor(f"{_TAG}{_kind}", _tagged(_kind))
BoundedLoader.add_constructor(_MERGE, _text)
BoundedLoader.add_constructor(f"{_TAG}timestamp", _text)
