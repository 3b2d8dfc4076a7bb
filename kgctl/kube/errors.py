"""Why cluster state could not be read or written."""

from __future__ import annotations

from kgctl.mesh.errors import KgctlError


class ClusterError(KgctlError):
    """The cluster, or the files that stand for it, could not be read or written."""


class ManifestError(ClusterError):
    """A manifest file cannot be read, or is no YAML or JSON of Kubernetes objects."""


class KubeconfigError(ClusterError):
    """No kubeconfig is there, it cannot be read, or it lacks what it must say."""


class CredentialsError(ClusterError):
    """A credential that the kubeconfig names cannot be had: a file, or an exec plugin's answer."""


class UnreachableError(ClusterError):
    """No connection to the API server: refused, no route, no such host."""


class ConnectionLostError(UnreachableError):
    """The connection ended before the answer did; a read is worth a second try."""


class RequestTimeoutError(UnreachableError):
    """The API server did not answer in time."""


class TlsError(ClusterError):
    """The API server's certificate was not accepted, or it speaks no TLS."""


class AnswerError(ClusterError):
    """What answered is no Kubernetes API server, or its answer cannot be read."""


class StatusError(ClusterError):
    """The API server refused a request; ``status`` is the HTTP status, ``reason`` its own word."""

    def __init__(self, message: str, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class UnauthorizedError(StatusError):
    """401: the credentials are missing, expired or refused."""


class ForbiddenError(StatusError):
    """403: the credentials are known, and RBAC does not allow this.

    What is missing is the right to ``verb`` objects of ``resource`` and ``group``, in a
    ``namespace`` unless that is empty, as a rule of RBAC has them; each may be anything.
    """

    def __init__(
        self,
        message: str,
        status: int = 403,
        reason: str = "Forbidden",
        *,
        verb: str = "",
        resource: str = "",
        group: str = "",
        namespace: str = "",
    ) -> None:
        super().__init__(message, status, reason)
        self.verb = verb
        self.resource = resource
        self.group = group
        self.namespace = namespace


class NotFoundError(StatusError):
    """404: there is no object by that name."""


class NotServedError(NotFoundError):
    """404 on a path in an API ``group`` itself: the server at ``place`` does not serve it."""

    def __init__(self, message: str, *, group: str, place: str) -> None:
        super().__init__(message, 404)
        self.group = group
        self.place = place


class ConflictError(StatusError):
    """409: the object was changed or deleted since it was read."""


class AlreadyExistsError(ConflictError):
    """409: there is an object by that name already."""


class GoneError(StatusError):
    """410: the resource version or continue token is too old; list again from the start."""


class OverloadedError(StatusError):
    """429 or 5xx: the API server cannot answer now.

    ``retry_after`` is the number of seconds that it asked to be left alone for, if it did.
    """

    def __init__(
        self, message: str, status: int, reason: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(message, status, reason)
        self.retry_after = retry_after
