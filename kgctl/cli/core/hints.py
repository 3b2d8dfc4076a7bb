"""Hints that the command line adds to error messages: the option to set, or the role to grant.

No package below ``cli`` names an option. An error has a field (``KgctlError.field``), and these
tables map it to the option. An error about a missing right gets the role that grants it.
"""

from __future__ import annotations

from types import MappingProxyType

from kgctl.errors import ForbiddenError

OPTIONS = MappingProxyType(
    {
        "accept": "--accept",
        "DNS settings": "--dns and --search-domain",
        "gateway": "--gateway",
        "mirror": "--mirror",
        "list size": "--max-list-size",
        "only": "--only",
        "relay": "--relay",
        "request timeout": "--request-timeout",
        "via": "--via",
    }
)
"""Replacement for a field at the beginning of a message."""

HINTS = MappingProxyType(
    {
        "address": " (--allowed-ip)",
        "context": " with --context",
        "dry_run": "; --dry-run shows what it would do without it",
        "endpoint": " (--endpoint)",
        "endpoint name": " (--endpoint NAME=HOST)",
        "forced": ", or --force",
        "granularity": " with --mesh-granularity",
        "interface": " with --interface",
        "kubeconfig": (
            ", give --kubeconfig FILE, or read files with -f; --example shows an example, and "
            "kgctl init makes a network without Kubernetes"
        ),
        "listen_port": " with --listen-port",
        "manifests": ", or read files with -f",
        "memory": " --max-list-size allows more",
        "mtu": " with --mtu",
        "only": " with --only",
        "own public key": " with --public-key",
        "pool": " with --pool",
        "port": " with --port",
        "private_key": " with --private-key FILE",
        "read_only": ": write manifests with --directory DIR, or look with --dry-run",
        "qr_code": " with --only NAME, or take the file: -o wg-quick",
        "request_timeout": " --request-timeout sets how long to wait",
    }
)
"""Text to append to any other message, by field."""


def message(error: object) -> str:
    """Return the message of an error with its hint, and with those of the errors that it quotes.

    An error may quote the error that it was raised from. Any object with a ``field`` gets a hint.
    """
    text = str(error)
    quoted = getattr(error, "__cause__", None)
    while quoted is not None:
        said = str(quoted)
        if said and said in text:
            return _hinted(error, text.replace(said, message(quoted), 1))
        quoted = quoted.__cause__
    return _hinted(error, text)


def _hinted(error: object, text: str) -> str:
    if isinstance(error, ForbiddenError) and error.resource:
        from kgctl.cli.roles import remedy

        return f"{text}: {remedy(error)}"
    field = getattr(error, "field", "")
    if field in OPTIONS and text.startswith(f"{field} "):
        return OPTIONS[field] + text.removeprefix(field)
    return text + HINTS.get(field, "")
