"""What went wrong on the way to an API server, said so that a person knows what to do."""

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
"""Seconds for a TCP or TLS handshake, as in client-go, whatever the timeout of the request."""

HEAD_LIMIT = 120.0
"""Seconds until an answer has to begin, where nobody sets a limit: API servers end requests after
60 s, and one that announces its answer for ever (100 Continue) has to end."""

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21, 27})
_OTHER_NAME = frozenset({62, 64})


class LookupTimeoutError(TimeoutError):
    """The look-up of a name did not end in time."""

    def __init__(self) -> None:
        super().__init__("looking up its name took too long")


def no_http(access: Access) -> AnswerError:
    """Return the error for an answer in another protocol."""
    return AnswerError(f"what answers at {place(access)} speaks no HTTP: check the server's URL")


def connection_failure(error: OSError, access: Access) -> ClusterError:
    """Turn what the system or OpenSSL said into one line with a next step."""
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
        "try again; if it stays so, look at the proxies and load balancers in between"
    )


def place(access: Access) -> str:
    """Return where the server is and who says so: ``https://host:6443 (context "x" of FILE)``."""
    return f"{printable(without_logins(access.server))} ({access.origin})"


def _tls_failure(error: ssl.SSLError, access: Access) -> ClusterError:
    at = f"the API server {place(access)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(f"the certificate of {at} {_distrust(error)}")
    if isinstance(error, ssl.SSLEOFError):
        return lost(access)
    reason = (error.reason or "").upper()
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return TlsError(f"{at} speaks no TLS: should its URL start with http://?")
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
            f"is for another name ({said}): use a server URL with a name that it has, "
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
