"""The page itself: its parts put together into one file, under a strict policy.

The policy (a Content-Security-Policy in a meta tag) allows the scripts and the style that are in
the file, each by its hash, and nothing else: no request to anywhere, no frame, no form.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_FORBIDDEN = ("default-src 'none'", "base-uri 'none'", "form-action 'none'")


def to_page(content: dict[str, Any], connects_to: str = "'none'") -> str:
    """Return the HTML of a page that shows ``content``.

    ``connects_to`` is the source that its script may ask, in the words of the policy.
    """
    parts = {name: _part(file) for name, file in _FILES.items()}
    policy = "; ".join(
        (
            *_FORBIDDEN,
            f"connect-src {connects_to}",
            f"script-src {_hash(parts['library'])} {_hash(parts['script'])}",
            f"style-src {_hash(parts['style'])}",
        )
    )
    page = Template(_part("page.html"))
    return page.substitute(parts, policy=policy, data=script_data(content))


_FILES = {
    "style": "page.css",
    "library": "vendor/cytoscape.min.js",
    "script": "page.js",
}


def script_data(content: dict[str, Any]) -> str:
    """Return JSON that may stand in a script element: it ends none, and begins no comment."""
    return json.dumps(content, separators=(",", ":")).translate(_ESCAPES)


@cache
def _part(name: str) -> str:
    return files("kgctl.render.page").joinpath(name).read_text("utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
