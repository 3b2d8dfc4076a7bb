"""PyYAML's fastest safe loader, held back from what would end the process.

Import it where YAML is read, and not before: PyYAML takes 15 ms to import.
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
"""Levels of nesting that a document may have; no Kubernetes object has a quarter of it."""

LARGEST_MERGE = 10_000
"""Entries that ``<<`` may bring into one mapping."""

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
"""What an explicit tag lets a value be."""


class BoundedLoader(SafeLoader):
    """Loads plain values as Kubernetes does; refuses what is nested too deeply, or swells.

    The C loader calls itself for each level without ever looking at the stack: 100 kB of ``[``
    kill the interpreter. Both loaders call the first two methods on the way into and out of a
    level. Merging ten mappings that each merge ten, and so on, would fill the memory.
    """

    _depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Go one level down.

        Raises:
            yaml.YAMLError: that is one too many.
        """
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep")
        super().descend_resolver(current_node, current_index)

    def ascend_resolver(self) -> None:
        """Come back up."""
        self._depth -= 1
        super().ascend_resolver()

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag of a value that has none."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return _MERGE if value == "<<" else _TAGS[type(value_of(value))]

    def flatten_mapping(self, node: Any) -> None:
        """Put what ``<<`` names into a mapping, where it stands: of two values the later counts.

        Raises:
            yaml.YAMLError: that is too much, or no mapping.
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
        """Return a mapping, whose keys become text.

        Raises:
            yaml.YAMLError: a key is a list, a mapping or nothing.
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
    """Loads numbers as the text that they are written as: for a file in which there are none."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag of a value that has none."""
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
