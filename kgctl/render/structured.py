"""Objects as YAML and JSON text, as kubectl prints them."""

from __future__ import annotations

from typing import Any


def to_json(value: Any) -> str:
    """Return ``value`` as indented JSON."""
    import json

    return json.dumps(value, indent=2) + "\n"


def to_yaml(value: Any) -> str:
    """Return ``value`` as a YAML document; keys keep their order."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=False))
