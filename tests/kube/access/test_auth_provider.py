"""OpenID Connect tokens: used while valid, renewed and stored; and the removed gcp provider."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import yaml

from kgctl.errors import CredentialsError
from kgctl.kube.access.auth_provider import AuthProvider, Token
from kgctl.kube.access.kubeconfig import load_access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "refresh-s3cret"


def id_token(ends: float) -> str:
    parts = [urlsafe_b64encode(json.dumps(p).encode()).decode() for p in ({}, {"exp": int(ends)})]
    return ".".join([*(part.rstrip("=") for part in parts), "c2ln"])


class Issuer:
    """An identity provider on loopback; ``answers`` says what it sends for a refresh token."""

    def __init__(self) -> None:
        self.answers: tuple[int, Any] = (200, {})
        self.endpoint = "/token"
        self.asked: list[dict[str, list[str]]] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                base = f"http://{self.headers['Host']}"
                endpoint = issuer.endpoint
                self._send(
                    200, {"token_endpoint": base + endpoint if endpoint[0] == "/" else endpoint}
                )

            def do_POST(self) -> None:
                issuer.asked.append(
                    parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                )
                self._send(*issuer.answers)

            def _send(self, status: int, content: Any) -> None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


def kubeconfig(path: Path, url: str, token: str, **more: str) -> Path:
    """A kubeconfig with a user of OpenID Connect, in the second of two files."""
    settings = {
        "client-id": "kubernetes",
        "client-secret": "client-s3cret",
        "id-token": token,
        "refresh-token": SECRET,
        "idp-issuer-url": f"{url}/",
        **more,
    }
    provider = {"name": "oidc", "config": settings}
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"auth-provider": provider}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "c",
                "preferences": {"kept": True},
            }
        )
    )
    return path


def test_a_token_that_holds_is_used(tmp_path: Path) -> None:
    token = id_token(time.time() + 3600)
    path = kubeconfig(tmp_path / "k", "http://127.0.0.1:1", token)
    assert AuthProvider(load_access(str(path))).token() == token


def test_another_token_is_asked_for_once_and_kept(tmp_path: Path, issuer: Issuer) -> None:
    path = kubeconfig(tmp_path / "k", issuer.url, id_token(1))
    path.chmod(0o644)
    fresh = id_token(time.time() + 3600)
    issuer.answers = (200, {"id_token": fresh, "refresh_token": "the next"})
    provider = AuthProvider(load_access(str(path)))
    assert (provider.token(), provider.token()) == (fresh, fresh)
    assert issuer.asked == [
        {
            "grant_type": ["refresh_token"],
            "refresh_token": [SECRET],
            "client_id": ["kubernetes"],
            "client_secret": ["client-s3cret"],
        }
    ]
    kept = yaml.safe_load(path.read_text())
    config = kept["users"][0]["user"]["auth-provider"]["config"]
    assert (config["id-token"], config["refresh-token"]) == (fresh, "the next")
    assert (config["client-id"], kept["preferences"]) == ("kubernetes", {"kept": True})
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert AuthProvider(load_access(str(path))).token() == fresh
    assert len(issuer.asked) == 1


def test_a_token_that_ends_meanwhile_is_renewed(tmp_path: Path, issuer: Issuer) -> None:
    path = kubeconfig(tmp_path / "k", issuer.url, id_token(1))
    provider = AuthProvider(load_access(str(path)))
    for ends in (time.time() + 5, time.time() + 3600):  # the first is about to end
        issuer.answers = (200, {"id_token": id_token(ends)})
        assert provider.token() == id_token(ends)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((400, {"error": "invalid_grant\x1b", "error_description": SECRET}),
         r"refuses its refresh-token \(invalid_grant\\x1b\); log in again"),
        ((500, {"error": "down"}), "answered 500 and no JSON object"),
        ((200, b"<html>"), "answered 200 and no JSON object"),
        ((200, [1]), "answered 200 and no JSON object"),
        ((200, {"access_token": SECRET}), "sent no id_token for the refresh-token; log in again"),
        ((200, {"id_token": "a.b"}), "is not a JSON Web Token"),
        ((200, {"id_token": "a\nb"}), "has characters that are invalid in a token"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(
    tmp_path: Path, issuer: Issuer, answers: tuple[int, Any], says: str
) -> None:
    issuer.answers = answers
    path = kubeconfig(tmp_path / "k", issuer.url, id_token(1))
    before = path.read_bytes()
    with pytest.raises(CredentialsError, match=says) as caught:
        AuthProvider(load_access(str(path))).token()
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable()
    assert path.read_bytes() == before


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1/", "https://a b/", "gone", "http//x"])
def test_a_secret_is_sent_to_no_odd_place(tmp_path: Path, issuer: Issuer, endpoint: str) -> None:
    issuer.endpoint = endpoint
    path = kubeconfig(tmp_path / "k", issuer.url, id_token(1))
    with pytest.raises(CredentialsError, match="names no usable token_endpoint"):
        AuthProvider(load_access(str(path))).token()
    assert issuer.asked == []


def gcp(path: Path, **config: str) -> AuthProvider:
    provider = {"name": "gcp", "config": config}
    content = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"auth-provider": provider}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path.write_text(json.dumps(content))
    return AuthProvider(load_access(str(path)))


def test_a_gcp_token_is_used_while_it_holds(tmp_path: Path) -> None:
    later = "2999-01-01T00:00:00Z"
    assert gcp(tmp_path / "k", **{"access-token": "t", "expiry": later}).token() == "t"
    assert gcp(tmp_path / "k", **{"access-token": "t"}).token() == "t"


def test_a_program_of_gcp_is_asked(tmp_path: Path) -> None:
    program = tmp_path / "gcloud"
    answer = {"credential": {"access_token": "fresh", "token_expiry": "2999-01-01T00:00:00Z"}}
    program.write_text(f"#!/bin/sh\n[ \"$*\" = 'config helper' ] && echo '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    settings = {"cmd-path": str(program), "cmd-args": "config helper"}
    assert gcp(tmp_path / "k", **settings).token() == "fresh"
    with pytest.raises(CredentialsError, match="gcloud printed no token; Kubernetes removed it"):
        gcp(tmp_path / "k", **settings, **{"token-key": "{.token}"}).token()
    with pytest.raises(CredentialsError, match="gcloud failed; log in again"):
        gcp(tmp_path / "k", **{**settings, "cmd-args": "other"}).token()


def test_a_token_does_not_show_itself() -> None:
    assert SECRET not in repr(Token(SECRET, 0))
