"""Exec credential plugins: a program that the kubeconfig names says who is asking.

The protocol is that of ``client.authentication.k8s.io/v1`` and ``v1beta1`` in the Kubernetes
docs ("client-go credential plugins"). Nothing is cached: plugins cache themselves.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from kgctl.cluster.errors import CredentialsError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.cluster.kubeconfig import Access

_GROUP = "client.authentication.k8s.io"
_VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
_CLUSTER_INFO = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)
QUIET_LIMIT = 30.0
"""Seconds that a plugin gets when nobody is there to answer it."""


def run_plugin(
    access: Access, interactive: bool = True
) -> tuple[str | None, bytes | None, bytes | None]:
    """Run the plugin of ``access`` and return its token, client certificate and key.

    With ``interactive`` false, or without a terminal, it gets no standard input; its standard
    error goes to ours, so that it can ask to log in, except when ``interactive`` is false.

    Raises:
        CredentialsError: it cannot be run, it failed, or its answer is no ExecCredential.
    """
    plugin: Mapping[str, Any] = access.user["exec"]
    version = plugin.get("apiVersion")
    command = str(plugin.get("command") or "")
    name = f"the exec plugin {printable(command)} of {access.origin}"
    if not command:
        raise CredentialsError(f"the exec plugin of {access.origin} names no command")
    if version not in _VERSIONS:
        raise CredentialsError(
            f"{name} wants apiVersion {printable(str(version))}; known are {', '.join(_VERSIONS)}"
        )
    terminal = _may_ask(plugin, interactive, name)
    output = _run(plugin, _environment(plugin, access, terminal), terminal, interactive, name)
    return _credential(output, str(version), name)


def _may_ask(plugin: Mapping[str, Any], interactive: bool, name: str) -> bool:
    mode = plugin.get("interactiveMode") or "IfAvailable"
    terminal = interactive and sys.stdin is not None and sys.stdin.isatty()
    if mode == "Always" and not terminal:
        raise CredentialsError(f"{name} needs a terminal to ask on, and there is none")
    return terminal and mode != "Never"


def _environment(plugin: Mapping[str, Any], access: Access, terminal: bool) -> dict[str, str]:
    spec: dict[str, Any] = {"interactive": terminal}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(access.cluster)
    info = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}
    environment = dict(os.environ, KUBERNETES_EXEC_INFO=json.dumps(info, default=str))
    for entry in plugin.get("env") or ():
        environment[str(entry["name"])] = str(entry.get("value", ""))
    return environment


def _cluster_info(cluster: Mapping[str, Any]) -> dict[str, Any]:
    from base64 import b64encode

    from kgctl.cluster.credentials import pem

    info = {key: cluster[key] for key in _CLUSTER_INFO if cluster.get(key)}
    authority = pem(cluster, "certificate-authority")
    if authority:
        info["certificate-authority-data"] = b64encode(authority).decode()
    for extension in cluster.get("extensions") or ():
        if extension.get("name") == f"{_GROUP}/exec":
            info["config"] = extension.get("extension")
    return info


def _run(
    plugin: Mapping[str, Any],
    environment: dict[str, str],
    terminal: bool,
    interactive: bool,
    name: str,
) -> bytes:
    import subprocess

    argv = [str(plugin["command"]), *map(str, plugin.get("args") or ())]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own kubeconfig names the program
            argv,
            env=environment,
            stdin=None if terminal else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if interactive else subprocess.DEVNULL,
            timeout=None if interactive else QUIET_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CredentialsError(f"{name} did not end within {QUIET_LIMIT:.0f} s") from error
    except OSError as error:
        hint = printable(" ".join(str(plugin.get("installHint") or "").split()))
        raise CredentialsError(
            f"{name} cannot be run: {error.strerror}{'; ' + hint if hint else ''}"
        ) from error
    if done.returncode:
        raise CredentialsError(f"{name} failed with exit code {done.returncode}: log in again?")
    return done.stdout


def _credential(
    output: bytes, version: str, name: str
) -> tuple[str | None, bytes | None, bytes | None]:
    try:
        answer = json.loads(output)
        status = answer["status"]
        kind, got = answer["kind"], answer["apiVersion"]
        token = status.get("token")
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CredentialsError(f"{name} printed no ExecCredential with a status") from error
    if kind != "ExecCredential" or got != version:
        raise CredentialsError(
            f"{name} answered {printable(str(got))} {printable(str(kind))}, "
            f"not {version} ExecCredential"
        )
    if not token and not (certificate and key):
        raise CredentialsError(f"{name} gave neither a token nor a client certificate with its key")
    from kgctl.cluster.credentials import clean_token

    return (
        clean_token(str(token), "exec plugin") if token else None,
        str(certificate).encode() if certificate and key else None,
        str(key).encode() if certificate and key else None,
    )
