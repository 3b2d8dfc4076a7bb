"""TLS settings for an API server, from its kubeconfig."""

from __future__ import annotations

import contextlib
import os
import ssl
from typing import TYPE_CHECKING

from kgctl.errors import CredentialsError
from kgctl.kube.access.credentials import pem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.kube.access.credentials import Credentials
    from kgctl.kube.access.kubeconfig import Access


def skips_verification(access: Access) -> bool:
    """Return whether the kubeconfig disables the verification of the server's certificate."""
    return str(access.cluster.get("insecure-skip-tls-verify", "")).lower() == "true"


def tls_context(access: Access, credentials: Credentials) -> ssl.SSLContext:
    """Return the context that verifies the server and presents the client certificate.

    Without a certificate authority in the kubeconfig, those of the system are trusted.
    ``ssl.create_default_context`` is not used: it always loads the system's authorities (10 ms),
    and since Python 3.13 it requires extensions that the authorities of many clusters lack.

    Raises:
        CredentialsError: a certificate or key is not valid PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if skips_verification(access):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _trust(context, access)
    if credentials.certificate and credentials.key:
        _show(context, access, credentials.certificate, credentials.key)
    return context


def _trust(context: ssl.SSLContext, access: Access) -> None:
    authority = pem(access.cluster, "certificate-authority", access.origin)
    if authority is None:
        context.load_default_certs()
        return
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise CredentialsError(
            f"the certificate-authority of {access.origin} holds no PEM certificate: put the "
            "cluster's CA there"
        ) from error


def _show(context: ssl.SSLContext, access: Access, certificate: bytes, key: bytes) -> None:
    # OpenSSL reads these only from files; without a callback, it prompts for a passphrase
    with _as_file(certificate.rstrip() + b"\n" + key) as path:
        try:
            context.load_cert_chain(path, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            raise CredentialsError(_unfit(error, access, certificate, key)) from error


def _unfit(error: Exception, access: Access, certificate: bytes, key: bytes) -> str:
    """Return why a client certificate and its key cannot be used, and what to do."""
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return (
            f"the client-key of {access.origin} belongs to another certificate than its "
            "client-certificate: use a matching pair"
        )
    if b"ENCRYPTED" in key:
        return (
            f"the client-key of {access.origin} is encrypted, and kubeconfigs have no passphrase: "
            "decrypt it with: openssl pkey -in KEY -out PLAIN"
        )
    lacking = [
        name
        for name, data, mark in (
            ("client-certificate", certificate, b"-----BEGIN CERTIFICATE-----"),
            ("client-key", key, b"PRIVATE KEY-----"),
        )
        if mark not in data
    ]
    what = " and the ".join(lacking or ["client-certificate and its key"])
    return f"the {what} of {access.origin} cannot be read as PEM: get a new kubeconfig"


@contextlib.contextmanager
def _as_file(secret: bytes) -> Iterator[str]:
    """Yield a temporary path with the content ``secret``: in memory on Linux, else private."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("client"), "wb") as file:
            file.write(secret)
            file.flush()
            path = f"/proc/self/fd/{file.fileno()}"
            if os.access(path, os.R_OK):
                yield path
                return
    import tempfile  # slow to import, and rarely needed
    from pathlib import Path

    from kgctl.files.atomic import create_private

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/client.pem"
        create_private(Path(path), secret)
        yield path
