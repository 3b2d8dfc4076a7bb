"""PyYAML's fastest safe loader, held back from what would end the process.

Import it where YAML is read, and not before: PyYAML takes 15 ms to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DEEPEST = 200
"""Levels of nesting that a document may have; no Kubernetes object has a quarter of it."""

LARGEST_MERGE = 10_000
"""Entries that ``<<`` may bring into one mapping."""

_MERGE = "tag:yaml.org,2002:merge"


class BoundedLoader(SafeLoader):
    """Loads plain values only, and refuses documents that are nested too deeply, or swell.

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

    def flatten_mapping(self, node: Any) -> None:
        """Put what ``<<`` names into a mapping.

        Raises:
            yaml.YAMLError: that is too much.
        """
        size = 0
        for key, value in node.value:
            if key.tag == _MERGE:
                parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for part in parts:
                    if isinstance(part, yaml.MappingNode):
                        self.flatten_mapping(part)
                        size += len(part.value)
                    if size > LARGEST_MERGE:
                        raise yaml.YAMLError(f"it merges more than {LARGEST_MERGE} entries")
        super().flatten_mapping(node)
