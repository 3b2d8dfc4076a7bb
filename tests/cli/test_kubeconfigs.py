"""Unusable kubeconfigs: one line with a remedy, and no output while completing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("kgctl")
V1BETA1 = "client.authentication.k8s.io/v1beta1"
SECRET = "eyJhbGciOiJub25lIn0"


def config(user: object, **cluster: object) -> dict[str, Any]:
    """A kubeconfig of one context whose server is not there."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": user}],
    }


def plugin(command: str = "no-such-plugin", **more: object) -> dict[str, Any]:
    return {"exec": {"apiVersion": V1BETA1, "command": command, **more}}


def shell(script: str, **more: object) -> dict[str, Any]:
    return plugin("sh", args=["-c", script], **more)


def oidc(**changes: str) -> dict[str, Any]:
    settings = {
        "client-id": "k",
        "id-token": f"{SECRET}.eyJleHAiOjE1MDAwMDAwMDB9.x",
        "idp-issuer-url": "https://127.0.0.1:1",
        "refresh-token": SECRET,
        **changes,
    }
    return {"auth-provider": {"name": "oidc", "config": {k: v for k, v in settings.items() if v}}}


def gcp(**settings: str) -> dict[str, Any]:
    return {"auth-provider": {"name": "gcp", "config": settings}}


TOKEN = {"token": SECRET}
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("plugin missing", config(plugin()), "no-such-plugin of context"),
    ("plugin with a hint", config(plugin(installHint="brew install it\n")), "; brew install it"),
    ("plugin fails", config(shell("exit 3")), "failed with exit code 3: log in again?"),
    ("plugin dies", config(shell("kill -9 $$")), "was killed by signal 9"),
    ("plugin of old", config(plugin(apiVersion=V1BETA1.replace("beta", "alpha"))), "in 1.24: up"),
    ("plugin is not a mapping", config({"exec": "aws"}), "must be a mapping with apiVersion"),
    ("plugin args are text", config(plugin(args="--a")), "args must be a list"),
    ("plugin env is a mapping", config(plugin(env={"A": "b"})), "env must be a list"),
    ("plugin env lacks a name", config(plugin(env=[{"value": "b"}])), "must have a name"),
    ("plugin env with NUL", config(plugin(env=[{"name": "a", "value": "\0"}])), "plain text"),
    ("plugin command with NUL", config(plugin("a\0b")), "plain text"),
    ("plugin of no mode", config(plugin(interactiveMode="always")), "one of Never, IfAvailable"),
    ("plugin that must ask", config(plugin(interactiveMode="Always")), "needs a terminal"),
    ("plugin says nothing", config(shell("true")), "printed nothing"),
    ("plugin without end", config(shell("cat /dev/zero")), "printed more than 1,048,576 bytes"),
    ("oidc expired", config(oidc()), "its id-token has expired, and the identity provider https"),
    ("oidc at its end", config(oidc(**{"refresh-token": ""})), "without refresh-token"),
    ("oidc without a token", config(oidc(**{"id-token": "", "client-id": ""})), "it has no id"),
    ("oidc with no JWT", config(oidc(**{"id-token": "a.b.c"})), "is not a JSON Web Token; log in"),
    ("oidc with a broken CA", config(oidc(**{"idp-certificate-authority": "/gone"})), "/gone of"),
    ("gcp program", config(gcp(**{"cmd-path": "/gone/gcloud"})), "gke-gcloud-auth-plugin"),
    ("gcp expired", config(gcp(**{"access-token": SECRET, "expiry": "2020-01-01T00:00:00Z"})),
     "its access-token has expired; Kubernetes removed it in 1.26"),
    ("azure", config({"auth-provider": {"name": "azure"}}), "run: kubelogin convert-kubeconfig"),
    ("a provider without a shape", config({"auth-provider": "oidc"}), "without a name"),
    ("view without --raw", config({"token": "REDACTED"}), "kubectl config view --raw"),
    ("view without --raw, CA", config(TOKEN, **{"certificate-authority-data": "DATA+OMITTED"}),
     "certificate-authority-data of context"),
    ("view without --raw, key", config({"client-certificate-data": "DATA+OMITTED"}), "--raw"),
    ("no scheme", config(TOKEN, server="127.0.0.1:6443"), "write https://127.0.0.1:6443"),
    ("no scheme, a name", config(TOKEN, server="api.example"), "write https://api.example"),
    ("no server", config(TOKEN, server=""), "has no server: set it to https://HOST:PORT"),
    ("no port", config(TOKEN, server="https://127.0.0.1:99999"), "is not a valid URL"),
    ("unsound proxy", config(TOKEN, **{"proxy-url": "127.0.0.1:8080"}), "must begin with http://"),
    ("broken base64", config({**TOKEN, "client-certificate-data": "A"}), "is not valid base64"),
    ("certificate is gone", config({"client-certificate": "/gone.pem"}), "/gone.pem of context"),
    ("authority is gone", config(TOKEN, **{"certificate-authority": "/gone"}), "/gone of context"),
    ("both", config(TOKEN, **{"certificate-authority": "/a", "insecure-skip-tls-verify": True}),
     "sets both certificate-authority and insecure-skip-tls-verify"),
    ("manifest", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}, "holds a Node"),
    ("something else", {"mesh": {"name": "a"}}, "it holds no clusters, users and contexts"),
    ("empty", {}, "is empty: use another one"),
    ("token with a line break", config({"token": f"{SECRET}\n"}), "has characters that are"),
    ("token file is gone", config({"tokenFile": "/gone"}), "cannot read the tokenFile /gone of"),
    ("token file is empty", config({"tokenFile": "/dev/null"}), "is empty: write a token into it"),
]  # fmt: skip


def run(path: Path | str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=120,
        env={**os.environ, "KUBECONFIG": str(path), **environment},
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.mark.parametrize(
    ("kubeconfig", "says"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_it_gets_one_line(kubeconfig: dict[str, Any], says: str, file: Path) -> None:
    file.write_text(json.dumps(kubeconfig))
    done = run(file, "get", "nodes", "--request-timeout", "10s")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert says in done.stderr
    assert str(file) in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize("name", ["plugin missing", "oidc expired", "no scheme", "empty"])
def test_completion_is_silent(name: str, file: Path) -> None:
    kubeconfig = next(case[1] for case in CASES if case[0] == name)
    file.write_text(json.dumps(kubeconfig))
    words = {"COMP_WORDS": "kgctl showconf node ", "COMP_CWORD": "3"}
    done = run(file, _KGCTL_COMPLETE="complete_bash", **words)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_a_completion_does_not_wait_for_a_plugin_that_hangs(file: Path) -> None:
    file.write_text(json.dumps(config(shell("echo $$ >&2; sleep 60 & sleep 60"))))
    words = {"COMP_WORDS": "kgctl showconf node ", "COMP_CWORD": "3"}
    done = run(file, _KGCTL_COMPLETE="complete_bash", **words)  # no longer than the plugin would
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_environment_names_what_is_not_there(file: Path) -> None:
    done = run(file, "get", "nodes")
    assert f"KUBECONFIG names {file}, which does not exist; set KUBECONFIG" in done.stderr
    file.write_text(json.dumps(config(TOKEN)))
    done = run(f"{file}.gone{os.pathsep}{file}", "get", "nodes", "--context", "x")
    assert f"KUBECONFIG also names {file}.gone, which does not exist" in done.stderr
