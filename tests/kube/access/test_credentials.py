"""Tokens, certificates and exec plugins: obtained as by client-go, and never shown."""

from __future__ import annotations

import base64
import gc
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.errors import CredentialsError
from kgctl.kube.access.credentials import (
    Credentials,
    impersonation,
    renewable,
    resolve_credentials,
)
from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.access.tls import tls_context
from kgctl.kube.fast.lean import LeanTransport
from tests.apiserver.credentials import Authority

if TYPE_CHECKING:
    from pathlib import Path

V1 = "client.authentication.k8s.io/v1"
SECRET = "s3cr3t-t0k3n"


def access(user: dict[str, Any], **cluster: Any) -> Access:
    return Access("https://server", cluster, user, "c", 'context "c" of F', ())


def plugin(tmp_path: Path, code: str, **settings: Any) -> dict[str, Any]:
    """A user whose exec plugin is a Python program."""
    program = tmp_path / "plugin.py"
    program.write_text(f"import json, os, sys\n{code}\n")
    return {
        "exec": {
            "apiVersion": V1,
            "command": sys.executable,
            "args": [str(program)],
            "interactiveMode": "IfAvailable",
            **settings,
        }
    }


def printing(status: object, version: str = V1, kind: str = "ExecCredential") -> str:
    answer = {"apiVersion": version, "kind": kind, "status": status}
    return f"print({json.dumps(json.dumps(answer))})"


def test_a_token_is_taken_as_it_stands() -> None:
    assert resolve_credentials(access({"token": SECRET})) == Credentials(SECRET)


def test_a_token_file_goes_before_a_token_and_loses_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("rotated\n")
    user = {"token": SECRET, "tokenFile": str(tmp_path / "t")}
    assert resolve_credentials(access(user)).token == "rotated"
    user["tokenFile"] = str(tmp_path / "gone")
    assert resolve_credentials(access(user)).token == SECRET
    with pytest.raises(
        CredentialsError, match=r"cannot read the tokenFile .*gone of .*: No such file"
    ):
        resolve_credentials(access({"tokenFile": str(tmp_path / "gone")}))


@pytest.mark.parametrize("token", ["a\r\nX-Injected: 1", "tök", "a\x00"])
def test_a_token_that_no_header_can_hold_is_refused_unshown(token: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        resolve_credentials(access({"token": token}))
    assert token not in str(caught.value)


def test_data_goes_before_files(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"file")
    data = base64.b64encode(b"data").decode()
    user = {
        "client-certificate": str(tmp_path / "f"),
        "client-certificate-data": data,
        "client-key": str(tmp_path / "f"),
    }
    assert resolve_credentials(access(user)) == Credentials(None, b"data", b"file")


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"client-certificate-data": "YQ"}, "client-certificate-data of context"),
        ({"client-certificate-data": "YQ=="}, "has no client-key: give client"),
        ({"client-key-data": "YQ=="}, "has no client-certificate: give"),
        ({"client-key": "/gone"}, "cannot read the client-key /gone"),
    ],
)
def test_half_a_certificate_is_an_error(user: dict[str, Any], says: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        resolve_credentials(access(user))
    assert says in str(caught.value)


def test_credentials_do_not_show_themselves() -> None:
    credentials = Credentials(SECRET, b"certificate", b"key of mine")
    assert repr(credentials) == "Credentials(token, certificate, key)"


@pytest.mark.parametrize("version", [V1, f"{V1}beta1"])
def test_a_plugin_gives_a_token(tmp_path: Path, version: str) -> None:
    user = plugin(tmp_path, printing({"token": SECRET}, version), apiVersion=version)
    assert resolve_credentials(access(user)) == Credentials(SECRET)


def test_a_plugin_gives_a_certificate(tmp_path: Path) -> None:
    status = {"clientCertificateData": "PEM1", "clientKeyData": "PEM2"}
    user = plugin(tmp_path, printing(status))
    assert resolve_credentials(access(user)) == Credentials(None, b"PEM1", b"PEM2")


def test_a_token_goes_before_a_plugin(tmp_path: Path) -> None:
    user = {**plugin(tmp_path, "sys.exit(1)"), "token": SECRET}
    assert resolve_credentials(access(user)).token == SECRET


def test_a_plugin_is_told_what_it_asked_for(tmp_path: Path) -> None:
    code = f"""
open({str(tmp_path / "told")!r}, "w").write(os.environ["KUBERNETES_EXEC_INFO"])
open({str(tmp_path / "env")!r}, "w").write(os.environ["REGION"])
assert sys.stdin.read() == ""
{printing({"token": SECRET})}"""
    user = plugin(
        tmp_path, code, provideClusterInfo=True, env=[{"name": "REGION", "value": "north"}]
    )
    (tmp_path / "ca").write_bytes(b"CA")
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    cluster = {
        "server": "https://server",
        "certificate-authority": str(tmp_path / "ca"),
        "tls-server-name": "name",
        "extensions": [extension],
    }
    resolve_credentials(access(user, **cluster), interactive=False)
    assert json.loads((tmp_path / "told").read_text()) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://server",
                "tls-server-name": "name",
                "certificate-authority-data": base64.b64encode(b"CA").decode(),
                "config": {"audience": "x"},
            },
        },
    }
    assert (tmp_path / "env").read_text() == "north"


def test_a_plugin_that_must_ask_needs_a_terminal(tmp_path: Path) -> None:
    user = plugin(tmp_path, printing({"token": SECRET}), interactiveMode="Always")
    with pytest.raises(CredentialsError, match="needs a terminal"):
        resolve_credentials(access(user), interactive=False)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("sys.exit(3)", "failed with exit code 3"),
        ("print('hello')", "printed no ExecCredential"),
        ("print('[1]')", "printed no ExecCredential"),
        ("print('[' * 100000)", "printed no ExecCredential"),
        (printing(None), "printed no ExecCredential"),
        (printing({"token": SECRET}, f"{V1}beta1"), "not client.authentication.k8s.io/v1 "),
        (printing({"token": SECRET}, V1, "Pod"), "answered client.authentication.k8s.io/v1 Pod"),
        (printing({}), "gave neither a token nor a client certificate"),
        (printing({"clientCertificateData": "PEM"}), "gave neither a token nor a client"),
        (printing({"token": "a\nb"}), "has characters that are invalid in a token"),
    ],
)
def test_a_plugin_that_fails_says_how(tmp_path: Path, code: str, says: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        resolve_credentials(access(plugin(tmp_path, code)))
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_plugin_that_is_not_there_says_how_to_install_it() -> None:
    settings = {"apiVersion": V1, "command": "/gone/login", "installHint": "brew install\n\nlogin"}
    with pytest.raises(CredentialsError) as caught:
        resolve_credentials(access({"exec": settings}))
    assert "cannot be run: No such file or directory; brew install login" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"apiVersion": V1}, "names no command"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}, "supported are"),
        ({"apiVersion": "v1", "command": "x"}, "uses apiVersion v1: set the one"),
        ({"command": "x"}, "has no apiVersion"),
    ],
)
def test_a_plugin_that_is_not_set_up_right_is_not_run(settings: Any, says: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        resolve_credentials(access({"exec": settings}))
    assert says in str(caught.value)


def test_plugins_and_files_can_be_asked_again() -> None:
    assert renewable(access({"exec": {"command": "x"}}))
    assert renewable(access({"tokenFile": "t"}))
    assert not renewable(access({"token": SECRET}))


def test_a_transport_without_credentials_ends_without_a_word() -> None:
    # pytest makes an error of what __del__ raises
    with pytest.raises(CredentialsError):
        LeanTransport(access({"exec": {"apiVersion": V1, "command": "/gone/login"}}))
    gc.collect()


def test_a_plugin_that_hangs_is_ended_with_all_that_it_started() -> None:
    # the second sleep holds its output open: only when that is ended too is there an end of it
    settings = {"apiVersion": V1, "command": "sh", "args": ["-c", "sleep 300 & sleep 300"]}
    start = time.monotonic()
    with pytest.raises(CredentialsError, match="did not end within 1 s, and nobody can answer"):
        resolve_credentials(access({"exec": settings}), interactive=False, limit=1)
    assert time.monotonic() - start < 150


def pair_of(*names: str) -> list[str]:
    """Certificates and keys of as many users, each in base64, one after the other."""
    authority = Authority()
    made = [authority.for_user(name) for name in names]
    return [base64.b64encode(text).decode() for one in made for text in (one.certificate, one.key)]


def test_a_client_certificate_that_cannot_be_used_says_why() -> None:
    certificate, key, _, other = pair_of("a", "b")
    encrypted = base64.b64encode(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n").decode()
    cases = [
        (certificate, other, "client-key of .* belongs to another certificate"),
        (certificate, encrypted, "is encrypted, and kubeconfigs have no passphrase: decrypt"),
        (certificate, "YQ==", "the client-key of .* cannot be read as PEM"),
        ("YQ==", key, "the client-certificate of .* cannot be read as PEM"),
        ("YQ==", "YQ==", "the client-certificate and the client-key of .* cannot be read"),
    ]
    for shown, kept, says in cases:
        user = access({"client-certificate-data": shown, "client-key-data": kept})
        with pytest.raises(CredentialsError, match=says):
            tls_context(user, resolve_credentials(user))
    wrapped = "\n".join(certificate[at : at + 64] for at in range(0, len(certificate), 64))
    user = access({"client-certificate-data": wrapped, "client-key-data": key})
    tls_context(user, resolve_credentials(user))


@pytest.mark.parametrize(
    ("server", "host", "named"),
    [
        ("https://[fe80::1%25eth0]:6443", "fe80::1%eth0", "[fe80::1]:6443"),
        ("https://[fe80::1%eth0]", "fe80::1%eth0", "[fe80::1]"),
        ("https://[::1]:6443/k8s", "::1", "[::1]:6443"),
        ("http://name:80", "name", "name:80"),
    ],
)
def test_the_zone_of_an_address_stays_here(server: str, host: str, named: str) -> None:
    transport = LeanTransport(access({"token": SECRET})._replace(server=server))
    assert (transport._host, transport._named) == (host, named)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({}, []),
        ({"as": "", "as-groups": [], "as-user-extra": None}, []),
        (
            {"as": "someone", "as-uid": 7, "as-groups": ["a", "b"]},
            [
                ("Impersonate-User", "someone"),
                ("Impersonate-Uid", "7"),
                ("Impersonate-Group", "a"),
                ("Impersonate-Group", "b"),
            ],
        ),
        (
            {"as": "x", "as-user-extra": {"example.com/a b%": ["1", "2"]}},
            [
                ("Impersonate-User", "x"),
                ("Impersonate-Extra-example.com%2Fa%20b%25", "1"),
                ("Impersonate-Extra-example.com%2Fa%20b%25", "2"),
            ],
        ),
        ({"as": "zo\u00eb"}, [("Impersonate-User", "zo\u00c3\u00ab")]),  # UTF-8, byte by byte
    ],
)
def test_acting_as_another_is_a_matter_of_headers(
    user: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert impersonation(access(user)) == expected


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (
            {"as": "a\r\nX: y"},
            'the as of context "c" of F has characters that are invalid in a header',
        ),
        ({"as": ["a"]}, 'the as of context "c" of F has characters'),
        ({"as": "a", "as-groups": "g"}, 'the as-groups of context "c" of F must be a list'),
        ({"as": "a", "as-groups": ["g\n"]}, 'the as-groups of context "c" of F has characters'),
        (
            {"as": "a", "as-user-extra": ["g"]},
            'the as-user-extra of context "c" of F must be a mapping',
        ),
        (
            {"as": "a", "as-user-extra": {"k": "v"}},
            'the as-user-extra of context "c" of F must be a list',
        ),
    ],
)
def test_what_no_header_can_hold_is_refused(user: dict[str, Any], says: str) -> None:
    with pytest.raises(CredentialsError, match=says):
        impersonation(access(user))
