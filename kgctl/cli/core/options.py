"""What was given of the options that every command has, by ``kgctl.cli.core.table``."""

from __future__ import annotations

from typing import Any, NamedTuple

from kgctl.cli.core.table import OPTIONS
from kgctl.kilo import TOPOLOGY_LABEL


class Shared(NamedTuple):
    """What was given of the options that every command has; None where nothing was."""

    kubeconfig: str | None = None
    contexts: list[str] | None = None
    named: list[str] | None = None
    request_timeout: str | None = None
    max_list_size: str | None = None
    filename: list[str] | None = None
    example: bool | None = None
    at: str | None = None
    mesh_granularity: str | None = None
    topology_label: str | None = None
    port: int | None = None
    backend: str | None = None
    debug: bool | None = None
    context: str | None = None
    """The context, where one was given."""

    def over(self, outer: Shared | None) -> Shared:
        """Return these options over those that stood before the command's name."""
        values: dict[str, Any] = self._asdict()
        if outer is not None:
            for name, inner, before in zip(self._fields, self, outer, strict=True):
                values[name] = before if inner is None else inner
            for name in _REPEATABLE:
                values[name] = [*(getattr(outer, name) or ()), *(getattr(self, name) or ())]
                values[name] = values[name] or None
        contexts = list(dict.fromkeys(values["contexts"] or ()))
        values["contexts"] = contexts or None
        values["context"] = contexts[0] if len(contexts) == 1 else None
        return Shared(**values)

    @property
    def location_label(self) -> str:
        """The node label with the location: the one that was given, else that of Kilo's agents."""
        return self.topology_label or TOPOLOGY_LABEL

    @property
    def several(self) -> bool:
        """Whether more than one cluster was named."""
        return len(self.contexts or ()) + len(self.named or ()) > 1


_REPEATABLE = tuple(option.field for option in OPTIONS if option.kind == "texts")
