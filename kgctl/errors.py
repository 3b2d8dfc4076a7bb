"""The errors that kgctl raises on purpose; what one module alone raises is defined there.

::

    KgctlError                    exit code 1; the root of all
    |-- InputError                a value that was given is invalid
    |-- MeshError                 nodes and peers that make no network
    |-- ClusterError              a cluster, or files that stand for it
    |   |-- ManifestError
    |   |-- KubeconfigError
    |   |-- CredentialsError
    |   |-- UnreachableError
    |   |   |-- ConnectionLostError
    |   |   `-- RequestTimeoutError
    |   |-- TlsError
    |   |-- AnswerError
    |   `-- StatusError           the API server refused a request
    |       |-- UnauthorizedError     401
    |       |-- ForbiddenError        403
    |       |-- NotFoundError         404
    |       |   `-- NotServedError
    |       |-- ConflictError         409
    |       |   `-- AlreadyExistsError
    |       |-- GoneError             410
    |       `-- OverloadedError       429, 5xx
    `-- HostError                 this machine could not be read or set
        |-- PrivilegeError
        |-- BusyError
        |-- NoWireGuardError
        |-- InterfaceGoneError
        `-- UnresponsiveError
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class KgctlError(Exception):
    """What failed, on what, and what to do next, in one line.

    Where a setting is at fault, or would help, ``field`` names it as the Python API does, ``value``
    is what it has, and ``alternatives`` are what it may have. The message names no option of a
    command line: ``kgctl.cli.core.hints`` adds the one that sets the field. The command line prints
    the result on stderr and exits with ``exit_code``.

    An error that quotes another one is raised from it, so that the other's hint is found.
    """

    exit_code: int = 1

    def __init__(
        self,
        *args: object,
        field: str = "",
        value: object = None,
        alternatives: Sequence[str] = (),
    ) -> None:
        super().__init__(*args)
        self.field = field
        self.value = value
        self.alternatives = tuple(alternatives)


class InputError(KgctlError):
    """A value that was given is invalid, or does not go together with another one."""


class MeshError(KgctlError):
    """The nodes and peers that were read do not make a network."""


class ClusterError(KgctlError):
    """The cluster, or the files that stand for it, could not be read or written."""


class ManifestError(ClusterError):
    """A manifest file cannot be read, or is not YAML or JSON of Kubernetes objects."""


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
    """What answered is not a Kubernetes API server, or its answer cannot be read."""


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


class HostError(KgctlError):
    """A link, an address, a route or a device of this machine could not be read or set."""


class PrivilegeError(HostError):
    """A capability is missing."""


class BusyError(HostError):
    """Another kgctl has the interface."""


class NoWireGuardError(HostError):
    """Neither the kernel nor a program of this machine can do WireGuard."""


class InterfaceGoneError(HostError):
    """The interface, or the program behind it, is not there any more."""


class UnresponsiveError(HostError):
    """The program behind an interface does not answer."""
