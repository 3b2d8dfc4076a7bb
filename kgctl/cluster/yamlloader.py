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


class BoundedLoader(SafeLoader):
    """Loads plain values only, and refuses documents that are nested too deeply.

    The C loader calls itself for each level without ever looking at the stack: 100 kB of ``[``
    kill the interpreter. Both loaders call these two methods on the way into and out of a level.
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
