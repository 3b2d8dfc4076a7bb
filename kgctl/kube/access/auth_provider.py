"""Tokens of an ``auth-provider`` in a kubeconfig: OpenID Connect, and the remains of gcp.

The rules of oidc are those of client-go ("OpenID Connect Tokens" in the Kubernetes docs): the ID
token is used while it is valid, then the refresh token gets a new one. The new tokens are kept in
the kubeconfig, since a provider may accept each refresh token only once. Kubernetes removed gcp and
azure in 1.26; a gcp token that is still valid, or whose program still exists, is used nevertheless.
The ``kubernetes`` package supports oidc, but does not verify the provider's certificate, and so
would reveal the refresh token to an impostor.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import ClusterError, CredentialsError
from kgctl.kube.access.credentials import clean_token, pem
from kgctl.kube.budget import Budget
from kgctl.kube.failures import place
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access

EARLY = 10.0
"""Seconds before its expiry at which a token is no longer used, as in client-go."""

_LIMIT = 30.0  # seconds that a request to the provider may take
_MAX_ANSWER = 1 << 20
_REMEDIES = {
    "azure": "Kubernetes removed it in 1.26; run: kubelogin convert-kubeconfig",
    "gcp": (
        "Kubernetes removed it in 1.26; install gke-gcloud-auth-plugin and run: "
        "gcloud container clusters get-credentials CLUSTER"
    ),
}
_OTHER = "use a kubeconfig with a token, a certificate or an exec plugin"


class Token(NamedTuple):
    """A bearer token, and its expiry in Unix seconds."""

    text: str
    ends: float

    def __repr__(self) -> str:
        """Return the expiry without the token: this text may end up in a log."""
        return f"Token(ends={self.ends})"

    def holds(self) -> bool:
        """Return whether the token is still valid."""
        return time.time() < self.ends - EARLY


class AuthProvider:
    """The ``auth-provider`` of one user; it gets a new token when the last one expires."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._last: Token | None = None

    def token(self) -> str:
        """Return a valid bearer token.

        Raises:
            CredentialsError: there is none; the message says what to do.
        """
        if self._last is None or not self._last.holds():
            self._last = self._found()
        return self._last.text

    def _found(self) -> Token:
        provider = self._access.user["auth-provider"]
        settings = provider if isinstance(provider, dict) else {}
        config = settings.get("config") or {}
        kind = str(settings.get("name") or "")
        what = f"the auth-provider {printable(kind, 60) or 'without a name'} of "
        what += self._access.origin
        if not isinstance(config, dict):
            raise CredentialsError(f"{what} must have its settings in a mapping named config")
        if kind == "oidc":
            return _Oidc(self._access, config, what).token()
        if kind == "gcp":
            return _gcp(config, what)
        raise CredentialsError(f"{what} gave no token: {_REMEDIES.get(kind, _OTHER)}")


class _Oidc:
    """OpenID Connect: an ID token, and a refresh token to get the next one."""

    def __init__(self, access: Access, config: Mapping[str, Any], what: str) -> None:
        self._access = access
        self._config = config
        self._what = what

    def token(self) -> Token:
        held = _text(self._config, "id-token")
        if held:
            token = Token(clean_token(held, f"id-token of {self._what}"), _end(held, self._what))
            if token.holds():
                return token
        return self._renewed("its id-token has expired" if held else "it has no id-token")

    def _renewed(self, why: str) -> Token:
        lacking = [
            key
            for key in ("refresh-token", "idp-issuer-url", "client-id")
            if not _text(self._config, key)
        ]
        if lacking:
            raise CredentialsError(
                f"{self._what} gave no token: {why}, and without {lacking[0]} it cannot get "
                "another; log in again"
            )
        endpoint = self._endpoint(why)
        answer = self._ask(endpoint, why, self._form())
        fresh = answer.get("id_token")
        if not isinstance(fresh, str) or not fresh:
            raise CredentialsError(
                f"{self._what} gave no token: {why}, and {_shown(endpoint)} sent no id_token for "
                "the refresh-token; log in again, with the scope openid"
            )
        token = Token(
            clean_token(fresh, f"id_token that {_shown(endpoint)} sent"), _end(fresh, self._what)
        )
        kept = answer.get("refresh_token")
        changes = {"id-token": fresh}
        if isinstance(kept, str) and kept:
            changes["refresh-token"] = kept
        from kgctl.kube.access.kubeconfig_file import keep_provider_tokens

        keep_provider_tokens(self._access, changes)
        return token

    def _endpoint(self, why: str) -> str:
        issuer = _text(self._config, "idp-issuer-url").rstrip("/")
        found = self._ask(f"{issuer}/.well-known/openid-configuration", why)
        endpoint = found.get("token_endpoint")
        if not isinstance(endpoint, str) or not _sound(endpoint, issuer):
            raise CredentialsError(
                f"cannot log in with the user of {self._access.origin}: {why}, and the "
                f"identity provider {_shown(issuer)} names no usable token_endpoint; check "
                "idp-issuer-url"
            )
        return endpoint

    def _form(self) -> dict[str, str]:
        return {
            "grant_type": "refresh_token",
            "refresh_token": _text(self._config, "refresh-token"),
            "client_id": _text(self._config, "client-id"),
            **(
                {"client_secret": secret}
                if (secret := _text(self._config, "client-secret"))
                else {}
            ),
        }

    def _ask(self, url: str, why: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        """GET ``url``, or POST a form to it, and return the JSON object of the answer."""
        failed = f"cannot log in with the user of {self._access.origin}: {why}, and "
        provider = f"the identity provider {_shown(url)}"
        try:
            status, data = self._exchange(url, form)
        except CredentialsError:
            raise
        except ClusterError as error:
            raise CredentialsError(
                f"{failed}{provider} cannot be reached ({_reason(error)}); check the network, or "
                "log in again"
            ) from error
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if form and 400 <= status < 500 and isinstance(answer, dict):
            said = printable(str(answer.get("error") or status), 60)
            raise CredentialsError(
                f"{failed}{provider} refuses its refresh-token ({said}); log in again"
            )
        if status != 200 or not isinstance(answer, dict):
            raise CredentialsError(
                f"{failed}{provider} answered {status} and no JSON object; check idp-issuer-url"
            )
        return answer

    def _exchange(self, url: str, form: dict[str, str] | None) -> tuple[int, bytes]:
        from urllib.parse import urlencode

        from kgctl.kube.http.client import Body
        from kgctl.kube.http.transport import open_transport

        server = self._as_server(url)
        headers = {"Accept": "application/json"}
        body = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form).encode()
        transport = open_transport(server)
        try:
            response = transport.request(
                "GET" if body is None else "POST", "", {}, headers, body, _LIMIT
            )
            with Body(response, server, Budget(place(server))) as answer:
                return response.status, bytes(answer.start(_MAX_ANSWER))
        finally:
            transport.close()

    def _as_server(self, url: str) -> Access:
        """Return the access to the provider, which is verified by its own authority settings."""
        named = ("idp-certificate-authority", "idp-certificate-authority-data")
        cluster = {
            key.removeprefix("idp-"): self._config[key] for key in named if key in self._config
        }
        pem(cluster, "certificate-authority", self._what)  # for an error that names the provider
        origin = f"auth-provider oidc of {self._access.origin}"
        return self._access._replace(server=url, cluster=cluster, user={}, origin=origin)


def _sound(endpoint: str, issuer: str) -> bool:
    """Return whether a secret may be sent there: over TLS, or over HTTP if the issuer uses it."""
    scheme = endpoint.partition("://")[0]
    printable_ascii = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
    return printable_ascii and (
        scheme == "https" or (scheme == "http" and issuer.startswith("http://"))
    )


def _end(token: str, what: str) -> float:
    """Return the expiry of an ID token, the ``exp`` of a JWT (RFC 7519); without one, 0."""
    from base64 import urlsafe_b64decode

    parts = token.split(".")
    try:
        _, payload, _ = parts
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims.get("exp") or 0)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CredentialsError(
            f"{what} gave no token: its id-token is not a JSON Web Token; log in again"
        ) from error


def _gcp(config: Mapping[str, Any], what: str) -> Token:
    held, expiry = _text(config, "access-token"), _text(config, "expiry")
    if held:
        token = Token(clean_token(held, f"access-token of {what}"), _moment(expiry))
        if token.holds():
            return token
    command = _text(config, "cmd-path").split()
    why = "its access-token has expired" if held else "it has no access-token"
    if not command:
        raise CredentialsError(f"{what} gave no token: {why}; {_REMEDIES['gcp']}")
    return _gcp_asked(
        [*command, *_text(config, "cmd-args").split()], config, f"{what} gave no token: {why}"
    )


def _gcp_asked(argv: list[str], config: Mapping[str, Any], failed: str) -> Token:
    """Run the program that prints a token as JSON, and return the token."""
    import subprocess

    program = f"its program {printable(argv[0])}"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own kubeconfig names the program
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LIMIT,
            check=True,
        )
        found = json.loads(done.stdout)
        token = _at(found, _text(config, "token-key") or "{.credential.access_token}")
        ends = _moment(str(_at(found, _text(config, "expiry-key") or "{.credential.token_expiry}")))
    except OSError as error:
        reason = printable(error.strerror or type(error).__name__)
        raise CredentialsError(
            f"{failed}, and {program} cannot be run: {reason}; {_REMEDIES['gcp']}"
        ) from error
    except (subprocess.SubprocessError, ValueError, RecursionError) as error:
        raise CredentialsError(
            f"{failed}, and {program} failed; log in again with it, or: {_REMEDIES['gcp']}"
        ) from error
    if not isinstance(token, str) or not token:
        raise CredentialsError(f"{failed}, and {program} printed no token; {_REMEDIES['gcp']}")
    return Token(clean_token(token, f"token that {program} printed"), ends)


def _at(found: Any, path: str) -> Any:
    """Return the value at a JSONPath of names, such as ``{.a.b}``; None if there is none."""
    for name in path.strip("{}").split("."):
        if name:
            found = found.get(name) if isinstance(found, dict) else None
    return found


def _moment(text: str) -> float:
    """Return the Unix seconds of an RFC 3339 time; infinity if the text is invalid."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return float("inf")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(config: Mapping[str, Any], key: str) -> str:
    value = config.get(key)
    return "" if value is None else str(value)


def _reason(error: ClusterError) -> str:
    """Return the system's reason for a failed connection, without the server's name."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        inner = [one for one in cause.args if isinstance(one, BaseException)]
        cause = inner[0] if inner else cause.__cause__ or cause.__context__
    if cause is None:
        return str(error)
    return printable(getattr(cause, "verify_message", "") or cause.strerror or str(cause), 200)


def _shown(url: str) -> str:
    """Return a URL without its user name and password."""
    scheme, _, rest = url.partition("://")
    return printable(f"{scheme}://{rest.rpartition('@')[2]}", 200)
