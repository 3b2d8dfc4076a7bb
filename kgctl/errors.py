"""The errors that kgctl raises; errors of a single module are defined there.

::

    KgctlError                    exit code 1; the base of all errors
    |-- InputError                a given value is invalid
    |-- MeshError                 the nodes and peers form no network
    |-- ClusterError              a cluster, or its files, cannot be read or written
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
    `-- HostError                 this machine could not be read or configured
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
    """An error whose message is one line: what failed, on what, and what to do next.

    If a setting is at fault, or would help, ``field`` is its name in the Python API, ``value`` its
    value, and ``alternatives`` are valid values. The message names no command-line option:
    ``kgctl.cli.core.hints`` adds the one that sets the field. The command line prints the result
    to stderr and exits with ``exit_code``.

    Raise an error that quotes another one from it, so that the other's hint is found.
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
    """A given value is invalid, or conflicts with another one."""


class MeshError(KgctlError):
    """The nodes and peers do not form a network."""


class ClusterError(KgctlError):
    """The cluster, or its files, could not be read or written."""


class ManifestError(ClusterError):
    """A manifest file cannot be read, or is not YAML or JSON with Kubernetes objects."""


class KubeconfigError(ClusterError):
    """The kubeconfig does not exist, cannot be read, or lacks a required field."""


class CredentialsError(ClusterError):
    """A credential from the kubeconfig is unavailable: a file, or the output of an exec plugin."""


class UnreachableError(ClusterError):
    """No connection to the API server: refused, no route, no such host."""


class ConnectionLostError(UnreachableError):
    """The connection ended before the response; a read can be retried."""


class RequestTimeoutError(UnreachableError):
    """The API server did not answer in time."""


class TlsError(ClusterError):
    """The API server's certificate was not accepted, or the server does not use TLS."""


class AnswerError(ClusterError):
    """The server is not a Kubernetes API server, or its response is invalid."""


class StatusError(ClusterError):
    """The API server refused a request, with the HTTP ``status`` and its ``reason``."""

    def __init__(self, message: str, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class UnauthorizedError(StatusError):
    """401: the credentials are missing, expired or refused."""


class ForbiddenError(StatusError):
    """403: the credentials are valid, but RBAC does not allow the request.

    The missing right is to ``verb`` objects of ``resource`` and ``group``, in a ``namespace``
    unless that is empty, in the terms of an RBAC rule; their values are not checked.
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
    """404: there is no object with that name."""


class NotServedError(NotFoundError):
    """404 for an API ``group``: the server at ``place`` does not serve it."""

    def __init__(self, message: str, *, group: str, place: str) -> None:
        super().__init__(message, 404)
        self.group = group
        self.place = place


class ConflictError(StatusError):
    """409: the object was changed or deleted since it was read."""


class AlreadyExistsError(ConflictError):
    """409: an object with that name already exists."""


class GoneError(StatusError):
    """410: the resource version or continue token is too old; list again from the start."""


class OverloadedError(StatusError):
    """429 or 5xx: the API server cannot answer now.

    ``retry_after`` is the number of seconds from its Retry-After header, or None.
    """

    def __init__(
        self, message: str, status: int, reason: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(message, status, reason)
        self.retry_after = retry_after


class HostError(KgctlError):
    """A link, an address, a route or a device of this machine could not be read or configured."""


class PrivilegeError(HostError):
    """A capability is missing."""


class BusyError(HostError):
    """Another kgctl process uses the interface."""


class NoWireGuardError(HostError):
    """Neither the kernel nor a program on this machine supports WireGuard."""


class InterfaceGoneError(HostError):
    """The interface, or the program behind it, no longer exists."""


class UnresponsiveError(HostError):
    """The program behind an interface does not answer."""
