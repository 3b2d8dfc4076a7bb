"""Errors of connections to an API server, each with a next step for the user."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from kgctl.errors import (
    AnswerError,
    ConnectionLostError,
    RequestTimeoutError,
    TlsError,
    UnreachableError,
)
from kgctl.mesh.text import printable, without_logins

if TYPE_CHECKING:
    from kgctl.errors import ClusterError
    from kgctl.kube.access.kubeconfig import Access

CONNECT_LIMIT = 30.0
"""Seconds for a TCP or TLS handshake, as in client-go, regardless of the request's timeout."""

HEAD_LIMIT = 120.0
"""Seconds until an answer must begin, unless a limit is set. API servers end requests after 60 s;
without the limit, a server could announce its answer (100 Continue) for ever."""

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21, 27})
_OTHER_NAME = frozenset({62, 64})


class LookupTimeoutError(TimeoutError):
    """The lookup of a name did not end in time."""

    def __init__(self) -> None:
        super().__init__("looking up its name took too long")


def no_http(access: Access) -> AnswerError:
    """Return the error for an answer in another protocol."""
    return AnswerError(f"the server at {place(access)} does not speak HTTP: check its URL")


def connection_failure(error: OSError, access: Access) -> ClusterError:
    """Convert an error of the system or OpenSSL into one line with a next step."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, TimeoutError):
        return _tls_failure(error, access)
    at = f"the API server {place(access)}"
    if isinstance(error, LookupTimeoutError):
        return RequestTimeoutError(
            f"cannot find the host of {at}: {error}; check your DNS or VPN.",
            field="request_timeout",
        )
    if isinstance(error, TimeoutError):
        return RequestTimeoutError(
            f"{at} did not answer in time: is it up and reachable?", field="request_timeout"
        )
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"cannot find the host of {at}: {_reason(error)}; check its name and your DNS or VPN"
        )
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"{at} refused the connection: is the cluster running, and is this the right context?"
        )
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return lost(access)
    return UnreachableError(f"cannot reach {at}: {_reason(error)}")


def lost(access: Access) -> ConnectionLostError:
    """Return the error for an answer that broke off, or never began."""
    return ConnectionLostError(
        f"the API server {place(access)} closed the connection before its answer was complete: "
        "try again; if it persists, check the proxies and load balancers in between"
    )


def place(access: Access) -> str:
    """Return the server and the source of its URL: ``https://host:6443 (context "x" of FILE)``."""
    return f"{printable(without_logins(access.server))} ({access.origin})"


def _tls_failure(error: ssl.SSLError, access: Access) -> ClusterError:
    at = f"the API server {place(access)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(f"the certificate of {at} {_distrust(error)}")
    if isinstance(error, ssl.SSLEOFError):
        return lost(access)
    reason = (error.reason or "").upper()
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return TlsError(f"{at} does not speak TLS: should its URL start with http://?")
    if "CERTIFICATE" in reason:
        return TlsError(
            f"{at} did not accept our client certificate ({_words(error)}): get a new kubeconfig"
        )
    return TlsError(f"TLS with {at} failed: {_words(error)}")


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    said = printable(error.verify_message or "not verified")
    if code in _UNKNOWN_AUTHORITY:
        return (
            f"is signed by an unknown authority ({said}): "
            "set certificate-authority-data to the cluster's CA"
        )
    if code in _OTHER_NAME:
        return (
            f"is for another name ({said}): use a server URL with a name in the certificate, "
            "or set tls-server-name"
        )
    if code == _EXPIRED:
        return f"has expired ({said}): renew it, and check this machine's clock"
    if code == _NOT_YET_VALID:
        return f"is not valid yet ({said}): check this machine's clock"
    return f"was not accepted: {said}"


def _words(error: ssl.SSLError) -> str:
    return printable((error.reason or str(error)).replace("_", " ").lower())


def _reason(error: OSError) -> str:
    return printable(error.strerror or str(error) or type(error).__name__)
