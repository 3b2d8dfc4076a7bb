"""Credentials never go out without TLS, by any transport, as with client-go."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.recorded import kgctl
from tests.support.several import key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def server(status: int) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve empty lists over plain HTTP; yield the address and the headers of each request."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({key.lower(): value for key, value in self.headers.items()})
            body = json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}", seen
        finally:
            http.shutdown()
            thread.join()


COMMANDS = {
    "a read": ("get", "peers"),
    "a write": ("peer", "add", "x", "--public-key", key("x"), "--allowed-ips", "10.5.0.1/32"),
}
USERS: dict[str, Any] = {
    "token": {"token": "s3cret"},
    "basic": {"username": "u", "password": "s3cret"},
    "impersonation": {"token": "s3cret", "as": "somebody"},
    "plugin": {"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["-c", "touch ran; exit 1"]}},
    "token file": {"tokenFile": "token"},
    "certificate": {"client-certificate": "cert.pem", "client-key": "key.pem", "token": "s3cret"},
    "oidc": {"auth-provider": {"name": "oidc", "config": {"id-token": "a.b.c"}}},
}  # fmt: skip


@pytest.mark.parametrize("kind", USERS)
@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_secret_is_sent(
    kind: str, status: int, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("token", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("s3cret")
    with server(status) as (url, seen):
        config = tmp_path / "config"
        config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": USERS[kind]}],
        }))  # fmt: skip
        answer = kgctl("--kubeconfig", str(config), *COMMANDS[command])
    assert seen
    for headers in seen:
        assert not {"authorization", "impersonate-user"} & headers.keys()
        assert "s3cret" not in str(headers)
    assert not (tmp_path / "ran").exists()
    assert "s3cret" not in answer.stdout + answer.stderr
    if status == 401:
        assert "its credentials are not sent over http://" in answer.stderr
