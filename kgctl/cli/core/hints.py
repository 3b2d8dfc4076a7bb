"""What the command line adds to the messages of errors: the option that sets what is at fault.

Below ``cli`` nothing knows an option: an error names a field (``KgctlError.field``), and the tables
here say how a person sets it on a command line. To who lacks a right it names the role.
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
        "request timeout": "--request-timeout",
        "via": "--via",
    }
)
"""By the field: what stands in its place in a message that begins with it."""

HINTS = MappingProxyType(
    {
        "address": " (--allowed-ip)",
        "context": " with --context",
        "dry_run": "; --dry-run shows what it would do without it",
        "forced": ", or --force",
        "granularity": " with --mesh-granularity",
        "interface": " with --interface",
        "kubeconfig": ", give --kubeconfig FILE, or read files with -f",
        "listen_port": " with --listen-port",
        "manifests": ", or read files with -f",
        "memory": " --max-list-size allows more",
        "only": " with --only",
        "pool": " with --pool",
        "private_key": " with --private-key FILE",
        "read_only": ": write manifests with --directory DIR, or look with --dry-run",
        "qr_code": " with --only NAME, or take the file: -o wg-quick",
        "request_timeout": " --request-timeout sets how long to wait",
    }
)
"""By the field: what is added to any other message."""


def message(error: object) -> str:
    """Return the message of an error with its hint, and those of the errors that it quotes.

    An error quotes the one that it was raised from. What is no error, but has a ``field``, gets
    its hint as well.
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
