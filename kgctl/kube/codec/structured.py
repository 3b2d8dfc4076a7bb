"""Encoder of objects as YAML and JSON text, as kubectl prints them."""

from __future__ import annotations

from functools import cache
from typing import Any


def to_json(value: Any) -> str:
    """Return ``value`` as indented JSON."""
    import json

    return json.dumps(value, indent=2) + "\n"


def to_yaml(value: Any, *, blocks: bool = False) -> str:
    """Return ``value`` as a YAML document; keys keep their order.

    Text that any YAML reader would read as a number, a date, a boolean or null is quoted. With
    ``blocks``, texts of several lines are written as such, where YAML allows it.
    """
    import yaml

    def dumped(dumper: Any) -> str:
        chosen = _with_blocks(_quoting(dumper)) if blocks else _quoting(dumper)
        return str(yaml.dump(value, Dumper=chosen, sort_keys=False, allow_unicode=False))

    try:
        return dumped(getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    except UnicodeEncodeError:  # a lone surrogate, which libyaml rejects
        return dumped(yaml.SafeDumper)


@cache
def _with_blocks(dumper: Any) -> Any:
    """Return a dumper that writes texts of several lines as literal blocks."""

    class WithBlocks(dumper):  # type: ignore[misc]
        pass

    def represented(self: Any, text: str) -> Any:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    WithBlocks.add_representer(str, represented)
    return WithBlocks


@cache
def _quoting(dumper: Any) -> Any:
    """Return a dumper that also quotes text that only Kubernetes reads as something else."""
    from yaml import ScalarNode

    from kgctl.kube.codec.yaml_scalars import needs_quotes

    text_tag, other_tag = "tag:yaml.org,2002:str", "tag:yaml.org,2002:value"

    class Quoting(dumper):  # type: ignore[misc]
        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            """Return the tag that ``value`` would have without quotes."""
            tag = super().resolve(kind, value, implicit)
            plain = kind is ScalarNode and implicit[0] and tag == text_tag
            return other_tag if plain and needs_quotes(value) else tag

    return Quoting
