"""One object of the API server: where it is, and its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kgctl.kube.errors import NotFoundError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.kube.http.client import Body

DRY_RUN = {"dryRun": "All"}
"""The query by which the API server checks everything, answers as if, and stores nothing."""


def object_path(collection: str, kind: str, name: str) -> str:
    """Return the path of the object ``name`` below that of its collection.

    Raises:
        NotFoundError: no object can be called so.
    """
    if not name.strip("."):  # in a path, "" and dots would lead elsewhere
        raise NotFoundError(f'there is no {kind} named "{printable(name)}"', 404, "NotFound")
    return f"{collection}/{quote(name, safe='')}"


def decoded_object(body: Body) -> dict[str, Any]:
    """Return the object that an answer holds.

    Raises:
        kgctl.kube.errors.AnswerError: it holds none.
    """
    found = body.json()
    if not isinstance(found, dict):
        raise body.unreadable(b"")
    return found
