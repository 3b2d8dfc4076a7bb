"""Errors for answers of an API server that are not a success, each with a next step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from kgctl.errors import (
    AlreadyExistsError,
    AnswerError,
    ClusterError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    NotServedError,
    OverloadedError,
    StatusError,
    UnauthorizedError,
)
from kgctl.kube.failures import place
from kgctl.kube.fast.protobuf import CONTENT_TYPE, StatusMessage, read_status
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access

RETRIED = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses of a server that may answer a moment later."""

_VERBS = {"POST": "create", "PUT": "update"}  # patch and delete are named like their methods
_SHOWN = 300  # characters of the server's message


class _Wanted(NamedTuple):
    """The target of an API path: a resource, or one named object of it."""

    group: str
    namespace: str
    resource: str
    name: str

    @property
    def kind(self) -> str:
        """The resource with its group, as kubectl writes it: ``deployments.apps``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


def _wanted(path: str) -> _Wanted:
    """Parse ``/api/v1/nodes/a`` or ``/apis/GROUP/VERSION/namespaces/NS/RESOURCE/NAME``."""
    root, _, rest = path.strip("/").partition("/")
    group = ""
    if root == "apis":
        group, _, rest = rest.partition("/")
    parts = [unquote(part) for part in rest.split("/")[1:]]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces":
        namespace, parts = parts[1], parts[2:]
    resource, name = [*parts, "", ""][:2]
    return _Wanted(group, namespace, resource or path.rsplit("/", 1)[-1], name)


def _singular(resource: str) -> str:
    return resource.removesuffix("s")


class Refusal:
    """An answer that is not a success: the request and the response."""

    def __init__(
        self,
        access: Access,
        request: tuple[str, str],
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        watches: bool = False,
    ) -> None:
        self._access = access
        self._method, self._path = request
        self._watches = watches
        self._wanted = _wanted(self._path)
        self._status = status
        self._headers = headers
        self._said = _said(headers.get("content-type", ""), body)
        self._text = body if self._said is None else b""

    def error(self) -> ClusterError:
        """Return the error to raise."""
        if 300 <= self._status < 400:
            return self._redirected()
        if self._status == 429 or self._status >= 500:
            return self._overloaded()
        if self._said is None and self._status not in (401, 403, 404):
            return self._not_kubernetes()
        return self._refused()

    def _refused(self) -> StatusError:
        kinds = {401: self._unauthorized, 403: self._forbidden, 404: self._not_found}
        if self._status in kinds:
            return kinds[self._status]()
        reason = self._said.reason if self._said else ""
        message = f"cannot {self._asked()}: {self._words()}"
        if self._status == 409:
            kind = AlreadyExistsError if reason == "AlreadyExists" else ConflictError
            return kind(message, 409, reason)
        if self._status == 410:
            return GoneError(message, 410, reason)
        return StatusError(message, self._status, reason)

    def _unauthorized(self) -> StatusError:
        if self._access.user.get("exec"):
            command = printable(str(self._access.user["exec"].get("command")))
            hint = f"the credentials of the exec plugin {command} are refused; log in again with it"
        elif not self._access.user and self._access.user_name:
            if self._access.server.startswith("http://"):
                hint = "use a server with an https:// URL"  # the origin has the reason
            else:
                name = printable(self._access.user_name, 80)
                hint = f'the user "{name}" has no credentials, and the server requires some'
        elif not self._access.user:
            hint = "the context names no user, and the server requires credentials"
        else:
            hint = "the credentials have expired or are refused; get a new kubeconfig or token"
        return UnauthorizedError(
            f"not logged in to the API server {place(self._access)}: {hint}", 401, "Unauthorized"
        )

    def _forbidden(self) -> StatusError:
        """Name the missing right: a role with other rights does not help."""
        wanted = self._wanted
        verb = self._verb()
        within = f" in the namespace {printable(wanted.namespace, 60)}" if wanted.namespace else ""
        return ForbiddenError(
            f"not allowed to {self._asked()}: {self._words()}; it needs the verb {verb} on "
            f"{printable(wanted.kind, 80)}{within} ({self._access.origin})",
            verb=verb,
            resource=wanted.resource,
            group=wanted.group,
            namespace=wanted.namespace,
        )

    def _not_found(self) -> StatusError:
        if self._said is None:
            at = place(self._access)
            message = (
                f"there is no {self._path} at {at}: is that a Kubernetes API server, and is the "
                "path in its URL right?"
            )
            if self._wanted.group:
                return NotServedError(message, group=self._wanted.group, place=at)
            return NotFoundError(message, 404)
        return NotFoundError(f"cannot {self._asked()}: {self._words()}", 404, self._said.reason)

    def _overloaded(self) -> StatusError:
        asked = self._headers.get("retry-after", "").strip()
        wait = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else None
        later = "try again later" if wait is None else f"try again in {wait} s"
        return OverloadedError(
            f"the API server {place(self._access)} cannot {self._asked()} now "
            f"({self._status}: {self._words()}); {later}",
            self._status,
            self._said.reason if self._said else "",
            wait,
        )

    def _redirected(self) -> ClusterError:
        to = printable(self._headers.get("location", "elsewhere"))
        return AnswerError(
            f"the server at {place(self._access)} redirects to {to}, which no API server does: "
            "is this a login page or an ingress? Check the server's URL"
        )

    def _not_kubernetes(self) -> ClusterError:
        return AnswerError(
            f"the server at {place(self._access)} is not a Kubernetes API server "
            f"({self._status}: {self._words()}): check its URL and any proxy in front of it"
        )

    def _asked(self) -> str:
        """Return the request in words."""
        verb = self._verb()
        word = {"get": "read"}.get(verb, verb)
        resource, name = self._wanted.resource, self._wanted.name
        if name:
            return f'{word} the {_singular(resource)} "{printable(name, 60)}"'
        return f"{word} {printable(resource, 60)}"

    def _verb(self) -> str:
        """Return the verb of RBAC for the request ("Authorization" in Kubernetes' docs)."""
        if self._method == "GET":
            if self._watches:
                return "watch"
            return "get" if self._wanted.name else "list"
        return _VERBS.get(self._method, self._method.lower())

    def _words(self) -> str:
        if self._said is not None and self._said.message:
            return printable(self._said.message, _SHOWN)
        text = " ".join(self._text[:2000].decode("utf-8", "replace").split())
        return printable(text, 80) or "it gave no reason"


def _said(content_type: str, body: bytes) -> StatusMessage | None:
    """Return the message of a Status object in ``body``; None if it is not one."""
    if content_type.startswith(CONTENT_TYPE):
        try:
            return read_status(body)
        except ClusterError:
            return None
    import json

    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(decoded, dict) or decoded.get("kind") != "Status":
        return None
    code = decoded.get("code")
    return StatusMessage(
        str(decoded.get("message") or ""),
        str(decoded.get("reason") or ""),
        code if isinstance(code, int) else 0,
    )
