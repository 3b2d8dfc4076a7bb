"""The certificate of a server, read again when its files change."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING

from kgctl.errors import HostError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class CertificateError(HostError):
    """The certificate or its key cannot be used."""


class ServerCertificate:
    """A certificate chain and its private key, both PEM files.

    ``told`` gets a line if changed files cannot be used; the last usable ones stay in use.

    Raises:
        CertificateError: the files cannot be used.
    """

    def __init__(self, certificate: Path, key: Path, told: Callable[[str], None]) -> None:
        self._files = certificate, key
        self._told = told
        self._said = ""
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection; a few system calls if nothing changed."""
        with self._lock:
            try:
                stamp = self._look()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._context = self._load()
                    self._said = ""
            except CertificateError as error:
                self._say(f"{error}; the last one stays in use")
            return self._context

    def _say(self, line: str) -> None:
        """Report an error once, and not for each connection."""
        if line != self._said:
            self._said = line
            self._told(line)

    def _look(self) -> list[tuple[int, int, int]]:
        try:
            found = [file.stat() for file in self._files]
        except OSError as error:
            name = printable(str(error.filename))
            raise CertificateError(f"cannot read {name}: {error.strerror}") from None
        return [(one.st_ino, one.st_size, one.st_mtime_ns) for one in found]

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate, key = self._files
        names = f"{printable(str(certificate))} and {printable(str(key))}"
        try:
            # with a password, OpenSSL does not ask for that of an encrypted key on the terminal
            context.load_cert_chain(certificate, key, password="")
        except ssl.SSLError as error:
            reason = (error.reason or "not PEM").lower().replace("_", " ")
            raise CertificateError(
                f"the certificate and key in {names} cannot be used: {reason}"
            ) from None
        except OSError as error:
            raise CertificateError(f"cannot read {names}: {error.strerror}") from None
        return context
