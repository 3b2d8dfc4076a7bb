"""The control plane's processes that reading needs: etcd and kube-apiserver."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.apiserver.client import Client, RefusedError
from tests.apiserver.process import Process, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

START_TIMEOUT = 180.0
"""Seconds until a server that is not ready counts as failed: CI machines are slow."""

ATTEMPTS = 5
"""How often free ports are looked for, when other processes keep taking them first."""

ISSUER = "https://kubernetes.default.svc"
"""Who issues the tokens of service accounts."""


class StartError(Exception):
    """The control plane did not come up; the end of a log says why."""


class _PortTakenError(Exception):
    """A port that was free was no longer so when the server came to listen."""


@dataclass(frozen=True)
class Settings:
    """Where the programs are, where they keep their state, and what they are shown at start.

    The directory holds the files that ``_server_argv`` names: the server's certificate and
    key, the authority of client certificates, the key of service accounts, and the tokens.
    """

    binaries: Path
    state: Path
    admin_token: str


class ControlPlane:
    """etcd and kube-apiserver, listening on loopback only, on ports that were free."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._etcd: Process | None = None
        self._server: Process | None = None
        self._etcd_port = self._etcd_peer_port = self._port = 0

    @property
    def url(self) -> str:
        """Where the API server listens; the same again after ``stop`` and ``start``."""
        return f"https://127.0.0.1:{self._port}"

    def launch(self) -> None:
        """Start both, with nothing in them.

        Raises:
            StartError: one of them did not become ready.
        """
        for _ in range(ATTEMPTS):
            self._etcd_port, self._etcd_peer_port, self._port = free_ports(3)
            try:
                self._start_etcd(self._etcd_peer_port)
                self._start_server()
            except _PortTakenError:
                self.close()
            else:
                return
        raise StartError(f"no free ports: {ATTEMPTS} times another process was quicker")

    def start(self) -> None:
        """Start the API server again after ``stop``, with everything that it held.

        Raises:
            StartError: it did not become ready, or its port is another process's now.
        """
        try:
            self._start_server()
        except _PortTakenError as error:
            raise StartError(f"another process listens at {self.url} now") from error

    def stop(self) -> None:
        """End the API server: nobody listens at its address; what it held stays in etcd."""
        if self._server is not None:
            self._server.end()
            self._server = None

    @contextlib.contextmanager
    def backup(self) -> Iterator[Callable[[], None]]:
        """Copy what etcd holds; the function that comes with it puts the copy in its place."""
        data, kept = self._settings.state / "etcd", self._settings.state / "etcd.backup"
        self._restart_etcd(lambda: shutil.copytree(data, kept))

        def restore() -> None:
            def swap() -> None:
                shutil.rmtree(data)
                shutil.copytree(kept, data)

            self._restart_etcd(swap)

        try:
            yield restore
        finally:
            shutil.rmtree(kept)

    def _restart_etcd(self, meanwhile: Callable[[], object]) -> None:
        self.stop()
        if self._etcd is not None:
            self._etcd.end()
        meanwhile()
        self._start_etcd(self._etcd_peer_port)
        self.start()

    def close(self) -> None:
        """End both, and remove what they held; their logs stay."""
        self.stop()
        if self._etcd is not None:
            self._etcd.end()
            self._etcd = None
        shutil.rmtree(self._settings.state / "etcd", ignore_errors=True)

    def _start_etcd(self, peer_port: int) -> None:
        state, url = self._settings.state, f"http://127.0.0.1:{self._etcd_port}"
        argv = [
            str(self._settings.binaries / "etcd"),
            f"--data-dir={state / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        ]
        self._etcd = Process(argv, state / "etcd.log")
        _await_ready(self._etcd, self._etcd_is_healthy)

    def _start_server(self) -> None:
        self._server = Process(self._server_argv(), self._settings.state / "apiserver.log")
        _await_ready(self._server, self._server_is_ready)

    def _server_argv(self) -> Sequence[str]:
        state = self._settings.state
        return [
            str(self._settings.binaries / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={state / 'certs'}",
            f"--tls-cert-file={state / 'server.pem'}",
            f"--tls-private-key-file={state / 'server.key'}",
            f"--client-ca-file={state / 'ca.pem'}",
            f"--token-auth-file={state / 'tokens.csv'}",
            f"--service-account-key-file={state / 'service-accounts.key'}",
            f"--service-account-signing-key-file={state / 'service-accounts.key'}",
            f"--service-account-issuer={ISSUER}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",  # as every cluster has it: network plugins need it
            "--disable-admission-plugins=ServiceAccount",
            "--service-cluster-ip-range=10.43.0.0/16",
            "--delete-collection-workers=8",
            # the server cannot offer a loopback address in its own Service
            "--endpoint-reconciler-type=none",
        ]

    def _etcd_is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd_port, timeout=5)
        try:
            connection.request("GET", "/health")
            with connection.getresponse() as response:
                return response.status == http.HTTPStatus.OK
        finally:
            connection.close()

    def _server_is_ready(self) -> bool:
        with Client(self.url, self._settings.state / "ca.pem", self._settings.admin_token) as admin:
            return bool(admin.request("GET", "/readyz") == "ok")


def _await_ready(process: Process, ready: Callable[[], bool]) -> None:
    """Wait until a process that was just started answers.

    Raises:
        _PortTakenError: its port was taken in the meantime.
        StartError: it ended, or does not become ready.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while not process.ended and time.monotonic() < deadline:
        try:
            if ready():
                return
        except (OSError, http.client.HTTPException, RefusedError):
            pass  # not yet
        time.sleep(0.1)
    if process.found_its_port_taken():
        raise _PortTakenError
    why = "ended" if process.ended else f"is not ready after {START_TIMEOUT:.0f} s"
    raise StartError(f"{process.log.stem} {why}:\n{process.last_words()}")
