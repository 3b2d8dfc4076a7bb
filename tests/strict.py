"""A parser of its own that knows exactly the lines that kgctl writes, and takes no other.

It shares no code with kgctl: it stands for wg-quick, which runs as root and obeys every line.
"""

from __future__ import annotations

import re

_CIDR = r"[0-9a-f.:]+/[0-9]{1,3}"
_CIDRS = rf"{_CIDR}(, {_CIDR})*"
_KEY = r"[A-Za-z0-9+/]{43}="
_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_ADDRESS = r"[0-9a-f.:]+"
_HOST = rf"({_NAME}|\[[0-9a-f:.]+\])"

_LINES = {
    "[Interface]": {
        "Address": _CIDRS,
        "PrivateKey": _KEY,
        "ListenPort": r"[0-9]{1,5}",
        "DNS": rf"({_ADDRESS}|{_NAME})(, ({_ADDRESS}|{_NAME}))*",
        "MTU": r"[0-9]{3,5}",
        "Table": r"off|auto|[0-9]{1,10}",
    },
    "[Peer]": {
        "AllowedIPs": _CIDRS,
        "Endpoint": rf"{_HOST}:[0-9]{{1,5}}",
        "PersistentKeepalive": r"-?[0-9]{1,19}",
        "PresharedKey": _KEY,
        "PublicKey": _KEY,
    },
}


def assert_strict(text: str) -> None:
    """Fail unless each line is blank, a comment, a section or a key of it with a value for it."""
    assert text.endswith("\n") or not text
    known: dict[str, str] = {}
    for line in text.split("\n"):
        if line in _LINES:
            known = dict(_LINES[line])
        elif line.startswith("#"):
            assert line.isprintable(), repr(line)
        elif line:
            key, equals, value = line.partition(" = ")
            assert equals, repr(line)
            assert key in known, repr(line)
            assert re.fullmatch(known.pop(key), value), repr(line)
