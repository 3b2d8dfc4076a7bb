"""The table of the command line: every command, and every option that all commands share.

What reads a command line asks this table: Typer's declarations (``kgctl.cli.core.shared``), the
list of commands, the plain call, the head start, completion and the exit codes. It is read at the
start of every call, so it imports nothing but what has to be there anyway.

A field without a default has to be given: whoever adds an option or a command decides each.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["text", "texts", "number", "switch"]
"""What an option takes: a text, a text each time it is given, a number, or nothing."""

HeadStart = Literal["names", "elsewhere", "later"]
"""What an option is to the first request, which is sent before Typer is imported: it ``names`` the
cluster or changes the request, it leads ``elsewhere``, so that nothing is sent, or it matters
``later`` only."""

PROGRAM = "kgctl"

COMPLETE_VARIABLE = "_KGCTL_COMPLETE"
"""The environment variable by which a shell asks for completions."""


def switched_off(name: str) -> str:
    """Return the option that switches the switch ``name`` off."""
    return f"--no-{name.removeprefix('--')}"


class Option(NamedTuple):
    """An option that all commands share.

    ``field`` is that of ``Shared`` which holds what was given. ``plain`` tells whether the plain
    call understands the option; what it does not understand is left to Typer.
    """

    field: str
    name: str
    kind: Kind
    head_start: HeadStart
    plain: bool
    help: str
    metavar: str | None = None
    short: str | None = None

    @property
    def off(self) -> str | None:
        """What switches a switch off."""
        return switched_off(self.name) if self.kind == "switch" else None


class Command(NamedTuple):
    """A command; its Typer app is ``app`` in ``kgctl.cli.commands.NAME``, or what ``app`` names.

    ``reads``: it reads one live cluster first of all, so a request is sent ahead. ``verdict``: its
    exit code is its answer, 0 or 1, and 2 is trouble. ``group``: it consists of commands.

    ``valued`` are the options of its own, or of its commands, that take a value; only of a command
    that ``reads``, as the head start steps over them. ``switches`` are those of its switches that
    may be given a truth value, as the reference's kgctl takes it (``--as-peer=false``).
    """

    name: str
    help: str
    reads: bool
    verdict: bool
    group: bool = False
    valued: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    app: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """The module that holds the Typer app, and the app's name there."""
        module, _, name = (self.app or f"{self.name}:app").partition(":")
        return f"kgctl.cli.commands.{module}", name


OPTIONS = (
    Option(
        "kubeconfig", "--kubeconfig", "text", "names", plain=True, metavar="FILE",
        help="The kubeconfig file. Default: as kubectl finds it.",
    ),
    Option(
        "contexts", "--context", "texts", "names", plain=True, metavar="NAME",
        help="The kubeconfig context to use. Repeatable where several clusters make sense.",
    ),
    Option(
        "named", "--cluster", "texts", "elsewhere", plain=False, metavar="[NAME=]CLUSTER",
        help="A cluster: a context, a kubeconfig file, or manifests. Repeatable, as --context.",
    ),
    Option(
        "request_timeout", "--request-timeout", "text", "names", plain=True, metavar="TIME",
        help="How long one request may take: 5s, 1m30s; 0 for ever. Default: 30s.",
    ),
    Option(
        "max_list_size", "--max-list-size", "text", "names", plain=False, metavar="SIZE",
        help="The memory that one list of an API server may take: 2Gi. Default: 512Mi.",
    ),
    Option(
        "filename", "--filename", "texts", "elsewhere", plain=True, metavar="FILE", short="-f",
        help="Read manifests, not a cluster: a file, a directory, - for stdin. Repeatable.",
    ),
    Option(
        "example", "--example", "switch", "elsewhere", plain=True,
        help="Read the bundled example cluster instead of a live one.",
    ),
    Option(
        "at", "--at", "text", "later", plain=True, metavar="TIME",
        help="Judge heartbeats as of this time: RFC 3339, Unix seconds, or newest "
        "(the newest heartbeat, for snapshots in files). Default: now.",
    ),
    Option(
        "mesh_granularity", "--mesh-granularity", "text", "later", plain=True,
        metavar="location|full|auto", help="The granularity. Default: auto.",
    ),
    Option(
        "topology_label", "--topology-label", "text", "names", plain=True, metavar="LABEL",
        help="The node label with the location. Default: topology.kubernetes.io/region.",
    ),
    Option(
        "port", "--port", "number", "later", plain=False, metavar="PORT",
        help="The nodes' WireGuard UDP port. Default: 51820.",
    ),
    Option(
        "backend", "--backend", "text", "later", plain=False, metavar="kubernetes",
        help="The backend; there is one. Default: kubernetes.",
    ),
    Option(
        # a trace begins with the first request, so none may be sent before it is asked for
        "debug", "--debug", "switch", "elsewhere", plain=False,
        help="Print debug output to stderr: requests, tracebacks.",
    ),
)  # fmt: skip
"""The options that every command has, in the order of the help."""

VERSION = ("--version", "-v")
HELP = ("-h", "--help")
"""What prints something and ends, wherever it stands."""

_ALL_COMMANDS = (
    Command(
        "graph", "Draw the network: for Graphviz, as a picture, a page, or a tree.",
        reads=True, verdict=False,
        valued=(
            "--output", "-o", "--output-file", "-O", "--style", "--layout", "--focus", "--hops",
            "--location",
        ),
    ),
    Command(
        "showconf", "Print the WireGuard configuration of a node or a peer.",
        reads=True, verdict=False, group=True,
        valued=(
            "--output", "-o", "--allowed-ips", "--directory", "-d", "--output-file", "-O",
            "--watch", "--interval", "--interface", "--private-key", "--dns", "--search-domain",
            "--mtu", "--listen-port", "--table", "--service-cidr", "--via", "--gateway", "--only",
            "--only-networks", "--deny", "--accept",
        ),
        switches=("--as-peer",),
    ),
    Command(
        "get", "List nodes, peers or segments, and why one is not ready.",
        reads=True, verdict=False, valued=("--output", "-o"),
    ),
    Command(
        "check", "Find what is wrong with the network, and what to do.",
        reads=True, verdict=True,
        valued=(
            "--select", "--ignore", "--fail-on", "--service-cidr", "--config", "--accept",
            "--output", "-o",
        ),
    ),
    Command("explain", "Print the page of a rule of check.", reads=False, verdict=False),
    Command(
        "path", "Show how a packet travels from one machine to another, or where it stops.",
        reads=True, verdict=True, valued=("--output", "-o"),
    ),
    Command(
        "diff", "Show what a change would do to the network, before it is made.",
        reads=False, verdict=True,
    ),
    Command(
        "drift", "Show how the WireGuard of a machine differs from what it should be.",
        reads=True, verdict=True,
        valued=(
            "--dump", "--interface", "-i", "--service-cidr", "--via", "--gateway", "--only",
            "--listen-port", "--only-networks", "--deny", "--accept", "--output", "-o",
        ),
    ),
    Command(
        "node", "Set Kilo's annotations on nodes.",
        reads=False, verdict=False, group=True,
    ),
    Command(
        "peer", "Add, change and remove the machines outside the cluster.",
        reads=False, verdict=False, group=True,
    ),
    Command("link", "Make several clusters one network.", reads=False, verdict=False),
    Command(
        "unlink", "Remove the links between clusters.",
        reads=False, verdict=False, app="link:unlink_app",
    ),
    Command(
        "genkey", "Print a new private key.",
        reads=False, verdict=False, app="keys:genkey_app",
    ),
    Command(
        "pubkey", "Print the public key of the private key on stdin.",
        reads=False, verdict=False, app="keys:pubkey_app",
    ),
    Command(
        "genpsk", "Print a new preshared key.",
        reads=False, verdict=False, app="keys:genpsk_app",
    ),
    Command(
        "connect", "Join the network with this host, and stay on it.",
        reads=False, verdict=False, switches=("--clean-up", "--dry-run", "--once"),
    ),
    Command(
        "serve", "Show the network in a browser, live, and count it for Prometheus.",
        reads=False, verdict=False,
    ),
    Command(
        "status", "Show how this host's tunnels do, and why a peer is not connected.",
        reads=False, verdict=False,
    ),
    Command(
        "completion", "Print the completion script for a shell.", reads=False, verdict=False
    ),
    Command("help", "Print the help of a command.", reads=False, verdict=False),
)  # fmt: skip

COMMANDS = {command.name: command for command in _ALL_COMMANDS}
"""Each command by its name, in the order of the help."""
