"""The admission webhook for Peers."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.agent.certificates import CertificateError, ServerCertificate
from kgctl.agent.http_server import HttpServer, Request
from kgctl.agent.webhook import Webhook
from tests.agent.test_metrics import samples
from tests.support.certificates import self_signed

if TYPE_CHECKING:
    from pathlib import Path

KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
VALID = {"allowedIPs": ["10.5.0.1/32"], "publicKey": KEY}
INVALID = {"allowedIPs": ["10.5.0.1"], "publicKey": KEY}


def peer(spec: object, **metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer",
        "metadata": metadata or {"name": "laptop"}, "spec": spec,
    }  # fmt: skip


def review(spec: object, operation: str = "CREATE", **changes: Any) -> dict[str, Any]:
    request = {
        "uid": "u-1", "operation": operation, "name": "laptop", "object": peer(spec),
        "kind": {"group": "kilo.squat.ai", "version": "v1alpha1", "kind": "Peer"},
    }  # fmt: skip
    return {
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {**request, **changes},
    }  # fmt: skip


class Reviewed:
    """A webhook, and what it told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.webhook = Webhook(self.told.append)

    def send(self, body: object, kind: str = "application/json") -> tuple[int, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        found = self.webhook.answer(Request("POST", "/validate", kind=kind, body=content))
        if found.status != 200:
            return found.status, found.body.decode()
        answer = json.loads(found.body)
        assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        assert answer["response"]["uid"] == "u-1"
        return found.status, answer["response"]

    def counted(self) -> dict[tuple[str, ...], float]:
        return samples(self.webhook.metrics(Request("GET", "/metrics")).body)


def test_a_valid_peer_is_allowed() -> None:
    assert Reviewed().send(review(VALID)) == (200, {"uid": "u-1", "allowed": True})


def test_an_invalid_peer_is_denied_with_its_reason() -> None:
    reviewed = Reviewed()
    _, response = reviewed.send(review(INVALID))
    why = 'invalid: allowed IP "10.5.0.1" is not a CIDR (address/prefix)'
    assert response == {"uid": "u-1", "allowed": False, "status": {"message": why}}
    assert reviewed.told == [f"denied: Peer laptop: {why}"]
    assert reviewed.counted()["admission_requests_total", "CREATE", "denied"] == 1


def test_an_invalid_peer_that_was_stored_can_still_be_cleaned_up() -> None:
    _, response = Reviewed().send(review(INVALID, "UPDATE", oldObject=peer(INVALID)))
    assert response["allowed"]
    assert response["warnings"][0].startswith("invalid: allowed IP")
    _, response = Reviewed().send(review(INVALID, "UPDATE", oldObject=peer(VALID)))
    assert not response["allowed"]


def test_a_name_that_the_server_makes_is_not_missing() -> None:
    made = peer(VALID, generateName="laptop-")
    assert Reviewed().send(review(VALID, object=made, name=""))[1]["allowed"]
    nameless = peer(VALID, namespace="x")
    assert not Reviewed().send(review(VALID, object=nameless, name=""))[1]["allowed"]


def test_a_preshared_key_that_is_none_is_a_warning() -> None:
    _, response = Reviewed().send(review({**VALID, "presharedKey": "hunter2"}))
    assert response["allowed"]
    assert response["warnings"] == ["presharedKey is not base64 of 32 bytes, so it is ignored"]


def test_a_deletion_is_allowed() -> None:
    assert Reviewed().send(review(None, "DELETE", object=None))[1]["allowed"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"[" * 99999, b"null", b"[]", b"{}",
        review(VALID, uid=7),
        review(VALID) | {"kind": "Peer"},
        review(VALID) | {"apiVersion": "admission.k8s.io/v1beta1"},
        review(VALID, object=None),
        review(VALID, object=[1]),
        review(VALID, kind={"group": "", "kind": "Pod"}),
        review(VALID, kind="Peer"),
    ],
)  # fmt: skip
def test_what_is_no_review_of_a_peer_is_a_bad_request(body: object) -> None:
    reviewed = Reviewed()
    assert reviewed.send(body)[0] == 400
    assert reviewed.counted()["errors_total",] == 1


@pytest.mark.parametrize("spec", [None, 7, [], {}, {"allowedIPs": [None]}, {"endpoint": "x"}])
def test_any_spec_gets_a_decision(spec: object) -> None:
    status, response = Reviewed().send(review(spec))
    assert (status, response["allowed"]) == (200, False)


def test_hostile_texts_become_one_line() -> None:
    reviewed = Reviewed()
    hostile = "x\n\x1b[2J" * 1000
    _, response = reviewed.send(
        review({"allowedIPs": [hostile], hostile: 1}, operation="CREATE", name=hostile)
    )
    assert response["status"]["message"].isprintable()
    (line,) = reviewed.told
    assert line.isprintable()
    assert len(line) < 3000


def test_other_requests_are_refused_and_counted_without_their_texts() -> None:
    reviewed = Reviewed()
    assert reviewed.send(review(VALID), "text/json")[0] == 400
    for method, path in (("GET", "/validate"), ("POST", "/x"), ("BREW", "/y")):
        assert reviewed.webhook.answer(Request(method, path)).status in (404, 405)
    found = reviewed.counted()
    assert found["http_requests_total", "/validate", "POST"] == 1
    assert found["http_requests_total", "/validate", "GET"] == 1
    assert found["http_requests_total", "other", "POST"] == 1
    assert found["http_requests_total", "other", "other"] == 1


def test_the_certificate_is_read_again_when_it_changes(tmp_path: Path) -> None:
    first = self_signed(tmp_path / "first.pem")
    second = self_signed(tmp_path / "second.pem")
    used = tmp_path / "used.pem"
    used.symlink_to(first)
    told: list[str] = []
    held = ServerCertificate(used, used, told.append)
    webhook = Webhook(told.append)
    with HttpServer(webhook.answer, ("127.0.0.1", 0), tls=held.context) as server:
        url = f"https://127.0.0.1:{server.port}/validate"

        def is_served(certificate: Path) -> bool:
            trusting = ssl.create_default_context(cafile=str(certificate))
            try:
                urllib.request.urlopen(url, context=trusting)
            except urllib.error.HTTPError as error:
                error.close()
                return error.code == 405
            except urllib.error.URLError:
                return False
            return False

        assert is_served(first)
        exchange(used, second)
        assert is_served(second)
        assert not is_served(first)
        broken = tmp_path / "broken.pem"
        broken.write_text("no certificate")
        exchange(used, broken)
        assert is_served(second)
        assert is_served(second)
        used.unlink()
        assert is_served(second)
        assert is_served(second)
    assert len(told) == 2
    assert all("the last one stays in use" in line for line in told)


def exchange(link: Path, target: Path) -> None:
    new = link.with_name("new")
    new.symlink_to(target)
    new.replace(link)


def test_a_client_that_never_finishes_its_handshake_keeps_nobody_out(tmp_path: Path) -> None:
    file = self_signed(tmp_path / "c.pem")
    held = ServerCertificate(file, file, lambda _line: None)
    with (
        HttpServer(
            Webhook(print).answer, ("127.0.0.1", 0), tls=held.context, connections=2
        ) as server,
        socket.create_connection(("127.0.0.1", server.port)) as one,
        socket.create_connection(("127.0.0.1", server.port)) as two,
    ):
        began = time.monotonic()
        trusting = ssl.create_default_context(cafile=str(file))
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"https://127.0.0.1:{server.port}/x", context=trusting)
        refused.value.close()
        assert time.monotonic() - began < 5
        one.settimeout(5)
        assert one.recv(1) == b""
        assert two.fileno() > 0


@pytest.mark.parametrize(("content", "why"), [("", "no such file"), ("x", "cannot be used")])
def test_without_a_certificate_it_does_not_start(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "c.pem"
    if content:
        file.write_text(content)
    with pytest.raises(CertificateError, match=f"(?i){why}"):
        ServerCertificate(file, file, lambda _line: None)
