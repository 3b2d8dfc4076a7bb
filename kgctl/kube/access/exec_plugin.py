"""Exec credential plugins: programs named by a kubeconfig that print credentials.

The protocol is ``client.authentication.k8s.io/v1`` and ``v1beta1`` of the Kubernetes docs
("client-go credential plugins"). ``plugin_cache`` keeps answers that say when they expire. Errors
do not repeat a plugin's output, which may contain a token.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from kgctl.errors import CredentialsError
from kgctl.kube.access.credentials import QUIET_LIMIT, clean_token, pem
from kgctl.kube.access.plugin_cache import keep_answer, kept_answer, plugin_identity
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from subprocess import Popen

    from kgctl.kube.access.kubeconfig import Access

_GROUP = "client.authentication.k8s.io"
_VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
_MODES = ("Never", "IfAvailable", "Always")
_CLUSTER_INFO = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)
MAX_ANSWER = 1 << 20
"""Bytes that a plugin may print; a token and two certificates need a hundredth of that."""


def run_plugin(
    access: Access, interactive: bool = True, limit: float = QUIET_LIMIT, *, renew: bool = False
) -> tuple[str | None, bytes | None, bytes | None]:
    """Run the plugin of ``access`` and return its token, client certificate and key.

    Its last answer is used instead while it holds, unless ``renew`` is set.

    If ``interactive``, its standard error is kgctl's, so that it can ask the user to log in; it
    gets standard input only if that is a terminal. If not ``interactive``, it has no terminal and
    no standard input, its standard error is discarded, and it is killed after ``limit`` seconds.

    Raises:
        CredentialsError: it cannot be run, it failed, or its output is not an ExecCredential.
    """
    plugin = _settings(access)
    command = str(plugin["command"])
    name = f"the exec plugin {printable(command)} of {access.origin}"
    version = _version(plugin, name)
    terminal = _may_ask(plugin, interactive, name)
    identity = _identity(plugin, access)
    kept = None if renew else kept_answer(identity)
    if kept is not None:
        return _credential(kept, version, name)
    output = _run(
        plugin,
        _environment(plugin, access, terminal),
        name,
        terminal=terminal,
        limit=None if interactive else limit,
    )
    found = _credential(output, version, name)
    keep_answer(identity, output)
    return found


def is_kept(access: Access) -> bool:
    """Return whether the plugin's last answer still holds, so that the plugin need not run."""
    try:
        return kept_answer(_identity(_settings(access), access)) is not None
    except CredentialsError:
        return False


def _identity(plugin: Mapping[str, Any], access: Access) -> str:
    # whether there is a terminal changes what a plugin may ask, not what it answers
    environment = _environment(plugin, access, terminal=False)
    return plugin_identity(_argv(plugin), environment, access.server)


def _settings(access: Access) -> Mapping[str, Any]:
    """Return the plugin's settings, checked against the protocol."""
    plugin = access.user["exec"]
    what = f"the exec plugin of {access.origin}"
    if not isinstance(plugin, dict):
        raise CredentialsError(f"{what} must be a mapping with apiVersion and command")
    command = plugin.get("command")
    if not command:
        raise CredentialsError(f"{what} names no command")
    texts = [command, *_listed(plugin, "args", what)]
    for entry in _listed(plugin, "env", what):
        if not isinstance(entry, dict) or not entry.get("name"):
            raise CredentialsError(f"{what}: each entry of env must have a name and a value")
        texts += [entry["name"], entry.get("value") or ""]
        if "=" in str(entry["name"]):
            raise CredentialsError(f'{what}: a name in env must not hold "="')
    if any(isinstance(text, (dict, list)) or "\0" in str(text) for text in texts):
        raise CredentialsError(f"{what}: command, args and env must be plain text")
    return plugin


def _argv(plugin: Mapping[str, Any]) -> list[str]:
    return [str(plugin["command"]), *map(str, plugin.get("args") or ())]


def _listed(plugin: Mapping[str, Any], key: str, what: str) -> list[Any]:
    value = plugin.get(key) or []
    if not isinstance(value, list):
        raise CredentialsError(f"{what}: {key} must be a list")
    return value


def _version(plugin: Mapping[str, Any], name: str) -> str:
    version = plugin.get("apiVersion")
    if version in _VERSIONS:
        return str(version)
    known = f"{_VERSIONS[0]} and {_VERSIONS[1]}"
    if version == f"{_GROUP}/v1alpha1":
        raise CredentialsError(
            f"{name} uses apiVersion {version}, which Kubernetes removed in 1.24: update the "
            f"program and let it write the kubeconfig again; supported are {known}"
        )
    wants = f"uses apiVersion {printable(str(version), 80)}" if version else "has no apiVersion"
    raise CredentialsError(f"{name} {wants}: set the one that the program supports, {known}")


def _may_ask(plugin: Mapping[str, Any], interactive: bool, name: str) -> bool:
    mode = plugin.get("interactiveMode") or "IfAvailable"
    if mode not in _MODES:
        raise CredentialsError(
            f"{name} has the interactiveMode {printable(str(mode), 40)}: set one of "
            f"{', '.join(_MODES)}"
        )
    terminal = interactive and sys.stdin is not None and sys.stdin.isatty()
    if mode == "Always" and not terminal:
        raise CredentialsError(
            f"{name} needs a terminal, and there is none: log in with it on a terminal "
            "first, or set its interactiveMode to IfAvailable"
        )
    return terminal and mode != "Never"


def _environment(plugin: Mapping[str, Any], access: Access, terminal: bool) -> dict[str, str]:
    spec: dict[str, Any] = {"interactive": terminal}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(access)
    info = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}
    environment = dict(os.environ, KUBERNETES_EXEC_INFO=json.dumps(info, default=str))
    for entry in plugin.get("env") or ():
        environment[str(entry["name"])] = str(entry.get("value") or "")
    return environment


def _cluster_info(access: Access) -> dict[str, Any]:
    from base64 import b64encode

    cluster = access.cluster
    info = {key: cluster[key] for key in _CLUSTER_INFO if cluster.get(key)}
    authority = pem(cluster, "certificate-authority", access.origin)
    if authority:
        info["certificate-authority-data"] = b64encode(authority).decode()
    extensions = cluster.get("extensions")
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("name") == f"{_GROUP}/exec":
            info["config"] = extension.get("extension")
    return info


def _run(
    plugin: Mapping[str, Any],
    environment: dict[str, str],
    name: str,
    *,
    terminal: bool,
    limit: float | None,
) -> bytes:
    """Run the program and return its output; ``limit`` is None if a person can answer it."""
    import subprocess

    argv = _argv(plugin)
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own kubeconfig names the program
            argv,
            env=environment,
            stdin=None if terminal else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if limit is None else subprocess.DEVNULL,
            # a session without a terminal: it cannot prompt on /dev/tty, and is killed as a whole
            start_new_session=limit is not None,
        )
    except OSError as error:
        raise CredentialsError(f"{name} cannot be run: {_obstacle(plugin, error)}") from error
    output, in_time = _output(process, limit)
    if not in_time:
        raise CredentialsError(
            f"{name} did not end within {limit:.0f} s, and nobody can answer it: log in with it on "
            "a terminal first"
        )
    if len(output) > MAX_ANSWER:
        raise CredentialsError(f"{name} printed more than {MAX_ANSWER:,} bytes, no ExecCredential")
    if process.returncode < 0:
        raise CredentialsError(f"{name} was killed by signal {-process.returncode}")
    if process.returncode:
        raise CredentialsError(f"{name} failed with exit code {process.returncode}: log in again?")
    return output


def _obstacle(plugin: Mapping[str, Any], error: OSError) -> str:
    """Return why a program does not start, and what to do about it."""
    hint = printable(" ".join(str(plugin.get("installHint") or "").split()), 500)
    reason = printable(error.strerror or type(error).__name__)
    if isinstance(error, FileNotFoundError):
        hint = hint or (
            "install it and put it on the PATH, or use a kubeconfig with a token or a certificate"
        )
    return f"{reason}{'; ' + hint if hint else ''}"


def _output(process: Popen[bytes], limit: float | None) -> tuple[bytes, bool]:
    """Return a program's output, at most one byte too much, and whether it ended in time."""
    import threading

    late = threading.Event()

    def stop() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(limit, stop) if limit is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    assert process.stdout is not None  # it is a pipe
    try:
        output = process.stdout.read(MAX_ANSWER + 1)
        if len(output) > MAX_ANSWER:
            _kill(process)
        process.stdout.close()
        process.wait()
    except BaseException:
        _kill(process)
        process.wait()
        raise
    finally:
        process.stdout.close()
        if timer is not None:
            timer.cancel()
            timer.join()
    return output, not late.is_set()


def _kill(process: Popen[bytes]) -> None:
    """Kill a program, and its children if it has its own session."""
    import signal

    if process.poll() is not None:
        return
    try:
        if hasattr(os, "killpg") and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass  # it has just ended


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
        raise CredentialsError(
            f"{name} {_odd_answer(output)}: it may not be a credential plugin, or need a login"
        ) from error
    if kind != "ExecCredential" or got != version:
        raise CredentialsError(
            f"{name} answered {printable(str(got), 80)} {printable(str(kind), 80)}, "
            f"not {version} ExecCredential: set its apiVersion to the one that it supports"
        )
    if not token and not (certificate and key):
        raise CredentialsError(
            f"{name} gave neither a token nor a client certificate with its key: log in again?"
        )
    return (
        clean_token(str(token), f"token that {name} gave") if token else None,
        str(certificate).encode() if certificate and key else None,
        str(key).encode() if certificate and key else None,
    )


def _odd_answer(output: bytes) -> str:
    if not output.strip():
        return "printed nothing, so no ExecCredential with a status"
    return "printed no ExecCredential with a status"
