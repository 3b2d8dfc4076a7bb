"""What a Peer is to hold, and what of it changes: in words, of which none is a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.mesh.text import some
from kgctl.state.peer_objects import shown_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN = 12  # networks that are named; the rest is counted
_LONGEST_NAME = 253  # characters of a DNS name


def details(
    fields: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a line for each of the ``fields`` of a Peer's spec, if either side has it.

    What was there before is anybody's, and shown as it can be shown. Preshared keys are not shown.
    """
    for field in fields:
        old, new = before.get(field), after.get(field)
        if field == "presharedKey":
            if old or new:
                yield f"{field}: {_of_secret(old, new)}"
        elif field == "allowedIPs" and isinstance(old, list):
            yield f"{field}: {_of_list(old, new or [])}"
        elif old is not None:
            yield f"{field}: {_text(old)} -> {_text(new)}"
        elif new is not None:
            yield f"{field}: {_text(new)}"


def _of_secret(old: object, new: object) -> str:
    if not new:
        return "removed"
    return "another one" if old else "set"


def _of_list(old: list[object], new: list[object]) -> str:
    """Return what goes and what comes; the order alone may differ, and says nothing."""
    before, after = ({shown_value(one): None for one in entries} for entries in (old, new))
    signed = [f"-{one}" for one in before if one not in after]
    signed += [f"+{one}" for one in after if one not in before]
    return some(signed, _SHOWN) if signed else "in another order"


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return some(list(map(shown_value, value)), _SHOWN) or "none"
    target = value.get("dnsOrIP") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(target, dict):
        host = shown_value(target.get("dns") or target.get("ip"), _LONGEST_NAME)
        return f"{f'[{host}]' if ':' in host else host}:{shown_value(value.get('port'))}"
    return shown_value(value)
