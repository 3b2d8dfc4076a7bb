"""The table of the command line: every command, and every option that all commands share.

Typer's declarations (``kgctl.cli.core.shared``), the list of commands, the plain call, the head
start, completion and the exit codes derive from it. Every call of kgctl imports it, so it imports
only modules that are loaded anyway.

Fields of properties that each new option or command has to decide have no default.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["text", "texts", "number", "switch"]
"""The value of an option: a text, a text each time it is given, a number, or none."""

HeadStart = Literal["names", "elsewhere", "later"]
"""The effect of an option on the first request, which is sent before Typer is imported: it
``names`` the cluster or changes the request; it leads ``elsewhere``, so that nothing is sent; or it
matters only ``later``."""

PROGRAM = "kgctl"

COMPLETE_VARIABLE = "_KGCTL_COMPLETE"
"""The environment variable with which a shell requests completions."""


def switched_off(name: str) -> str:
    """Return the option that switches the switch ``name`` off."""
    return f"--no-{name.removeprefix('--')}"


class Option(NamedTuple):
    """An option that all commands share.

    ``field`` is the field of ``Shared`` that holds its value. ``plain`` is set if the plain call
    understands the option; otherwise Typer reads the line.
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
        """The option that switches a switch off; None if this is not a switch."""
        return switched_off(self.name) if self.kind == "switch" else None


class Command(NamedTuple):
    """A command; its Typer app is ``app`` in ``kgctl.cli.commands.NAME``, unless ``app`` is set.

    ``reads``: it first reads one live cluster, so a request is sent ahead. ``verdict``: its exit
    code 0 or 1 is its answer, and 2 is an error. ``group``: it consists of subcommands.

    ``valued`` are its own options, or those of its subcommands, that take a value; they are given
    only for a command that ``reads``, because the head start has to skip them. ``switches`` are its
    switches that accept a truth value, as in the reference's kgctl (``--as-peer=false``).

    ``folder``: without a named source, it means the network of a folder around, if there is one.
    """

    name: str
    help: str
    reads: bool
    verdict: bool
    group: bool = False
    valued: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    app: str | None = None
    folder: bool = False

    @property
    def place(self) -> tuple[str, str]:
        """The module that holds the Typer app, and the app's name there."""
        module, _, name = (self.app or f"{self.name}:app").partition(":")
        return f"kgctl.cli.commands.{module}", name


OPTIONS = (
    Option(
        "kubeconfig", "--kubeconfig", "text", "names", plain=True, metavar="FILE",
        help="The kubeconfig file. Default: the one that kubectl uses.",
    ),
    Option(
        "contexts", "--context", "texts", "names", plain=True, metavar="NAME",
        help="The kubeconfig context to use. Repeatable if the command supports several clusters.",
    ),
    Option(
        "named", "--cluster", "texts", "elsewhere", plain=False, metavar="[NAME=]CLUSTER",
        help="A cluster: a context, a kubeconfig file, or manifests. Repeatable like --context.",
    ),
    Option(
        "request_timeout", "--request-timeout", "text", "names", plain=True, metavar="TIME",
        help="The timeout of a single request: 5s, 1m30s; 0: no timeout. Default: 30s.",
    ),
    Option(
        "max_list_size", "--max-list-size", "text", "names", plain=False, metavar="SIZE",
        help="The maximum memory for one list of the API server: 2Gi. Default: 512Mi.",
    ),
    Option(
        "filename", "--filename", "texts", "elsewhere", plain=True, metavar="FILE", short="-f",
        help="Read manifests, not a cluster: a file, a directory, or - for stdin. Repeatable.",
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
        metavar="location|full|auto", help="The granularity of the mesh. Default: auto.",
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
        help="The backend. Only kubernetes is supported.",
    ),
    Option(
        # the trace includes the first request, so that must not be sent ahead
        "debug", "--debug", "switch", "elsewhere", plain=False,
        help="Print debug output to stderr: requests, tracebacks.",
    ),
)  # fmt: skip
"""The options of all commands, in the order of the help."""

VERSION = ("--version", "-v")
HELP = ("-h", "--help")
"""Options that print something and exit, wherever they stand."""

_ALL_COMMANDS = (
    Command(
        "graph", "Draw the network for Graphviz, or as a picture, a page, or a tree.",
        reads=True, verdict=False, folder=True,
        valued=(
            "--output", "-o", "--output-file", "-O", "--style", "--layout", "--focus", "--hops",
            "--location",
        ),
    ),
    Command(
        "showconf", "Print the WireGuard configuration of a node or a peer.",
        reads=True, verdict=False, folder=True, group=True,
        valued=(
            "--output", "-o", "--allowed-ips", "--directory", "-d", "--output-file", "-O",
            "--watch", "--interval", "--interface", "--private-key", "--dns", "--search-domain",
            "--mtu", "--listen-port", "--table", "--service-cidr", "--via", "--gateway", "--only",
            "--only-networks", "--deny", "--accept", "--relay", "--relay-pool", "--since",
        ),
        switches=("--as-peer",),
    ),
    Command(
        "get", "List nodes, peers or segments, and why one is not ready.",
        reads=True, verdict=False, folder=True, valued=("--output", "-o"),
    ),
    Command(
        "check", "Find problems of the network, and how to fix them.",
        reads=True, verdict=True, folder=True,
        valued=(
            "--select", "--ignore", "--fail-on", "--service-cidr", "--config", "--accept",
            "--output", "-o",
        ),
    ),
    Command("explain", "Print the page of a rule of check.", reads=False, verdict=False),
    Command(
        "path", "Show how a packet travels from one machine to another, or where it stops.",
        reads=True, verdict=True, folder=True, valued=("--relay", "--output", "-o"),
    ),
    Command(
        "diff", "Show the effects of a change to the network before you make it.",
        reads=False, verdict=True, folder=True,
    ),
    Command(
        "drift", "Compare a machine with what it should have.",
        reads=True, verdict=True, folder=True,
        valued=(
            "--dump", "--interface", "-i", "--service-cidr", "--via", "--gateway", "--only",
            "--listen-port", "--only-networks", "--deny", "--accept", "--relay", "--relay-pool",
            "--output", "-o",
        ),
    ),
    Command(
        "deploy", "Bring the files of a network in a folder to its machines, over ssh.",
        reads=False, verdict=False, folder=True,
    ),
    Command(
        "node", "Set Kilo's annotations on nodes.",
        reads=False, verdict=False, group=True,
    ),
    Command(
        "peer", "Add, change and remove Peers: machines outside the cluster.",
        reads=False, verdict=False, folder=True, group=True,
    ),
    Command(
        "init", "Make a folder a network: WireGuard between machines, without Kubernetes.",
        reads=False, verdict=False,
    ),
    Command(
        "join-request", "Make this machine's key, and print a line to have it added.",
        reads=False, verdict=False, app="join_request:app",
    ),
    Command(
        "import", "Make a network in a folder from files of other programs.",
        reads=False, verdict=False, app="import_network:app", folder=True,
    ),
    Command("link", "Link several clusters into one network.", reads=False, verdict=False),
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
        "connect", "Join this host to the network, and keep it joined.",
        reads=False, verdict=False, switches=("--clean-up", "--dry-run", "--once"),
    ),
    Command(
        "agent", "Run the agent of a node, or show what it sets up.",
        reads=False, verdict=False, group=True,
        switches=(
            "--local", "--cni", "--create-interface", "--prioritise-private-addresses",
            "--iptables-forward-rules", "--clean-up", "--clean-up-interface", "--dry-run", "--once",
        ),
    ),
    Command(
        "serve", "Serve a live view of the network, and metrics for Prometheus.",
        reads=False, verdict=False, folder=True,
    ),
    Command(
        "status", "Show the state of this host's tunnels, and why a peer is not connected.",
        reads=False, verdict=False,
    ),
    Command(
        "completion", "Print the completion script for a shell.", reads=False, verdict=False
    ),
    Command("help", "Print the help of a command.", reads=False, verdict=False),
)  # fmt: skip

COMMANDS = {command.name: command for command in _ALL_COMMANDS}
"""Each command by its name, in the order of the help."""
