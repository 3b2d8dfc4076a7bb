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

    def dumped(dumper: Any) -> str:
        return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=False))

    try:
        return dumped(getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    except UnicodeEncodeError:  # half a character, which libyaml does not take
        return dumped(yaml.SafeDumper)
