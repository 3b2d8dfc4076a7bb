"""What was given of the options that every command has.

Typer reads the types here (``kgctl.cli.core.shared``), and is not needed for anything else: what is
called in loops goes without it (``kgctl.cli.core.direct``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

if TYPE_CHECKING:
    import typer


class Shared(NamedTuple):
    """What was given of the options that every command has; None where nothing was."""

    kubeconfig: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The kubeconfig file. Default: as kubectl finds it."),
    ] = None
    contexts: Annotated[
        list[str] | None,
        typer.Option(
            "--context",
            metavar="NAME",
            help="The kubeconfig context to use. Repeatable where several clusters make sense.",
        ),
    ] = None
    named: Annotated[
        list[str] | None,
        typer.Option(
            "--cluster",
            metavar="[NAME=]CLUSTER",
            help="A cluster: a context, a kubeconfig file, or manifests. Repeatable, as --context.",
        ),
    ] = None
    request_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long one request may take: 5s, 1m30s; 0 for ever. Default: 30s.",
        ),
    ] = None
    max_list_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="The memory that one list of an API server may take: 2Gi. Default: 512Mi.",
        ),
    ] = None
    filename: Annotated[
        list[str] | None,
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE",
            help="Read manifests, not a cluster: a file, a directory, - for stdin. Repeatable.",
        ),
    ] = None
    example: Annotated[
        bool | None,
        typer.Option(
            "--example/--no-example",
            help="Read the bundled example cluster instead of a live one.",
            show_default=False,
        ),
    ] = None
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Judge heartbeats as of this time: RFC 3339, Unix seconds, or newest "
            "(the newest heartbeat, for snapshots in files). Default: now.",
        ),
    ] = None
    mesh_granularity: Annotated[
        str | None,
        typer.Option(metavar="location|full|auto", help="The granularity. Default: auto."),
    ] = None
    topology_label: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="The node label with the location. Default: topology.kubernetes.io/region.",
        ),
    ] = None
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="The nodes' WireGuard UDP port. Default: 51820."),
    ] = None
    backend: Annotated[
        str | None,
        typer.Option(metavar="kubernetes", help="The backend; there is one. Default: kubernetes."),
    ] = None
    debug: Annotated[
        bool | None,
        typer.Option(
            "--debug/--no-debug",
            help="Print debug output to stderr: requests, tracebacks.",
            show_default=False,
        ),
    ] = None
    context: str | None = None
    """The context, where one was given."""

    def over(self, outer: Shared | None) -> Shared:
        """Return these options over those that stood before the command's name."""
        values: dict[str, Any] = self._asdict()
        if outer is not None:
            for name, inner, before in zip(self._fields, self, outer, strict=True):
                values[name] = before if inner is None else inner
            for name in ("filename", "contexts", "named"):
                values[name] = [*(getattr(outer, name) or ()), *(getattr(self, name) or ())]
                values[name] = values[name] or None
        contexts = list(dict.fromkeys(values["contexts"] or ()))
        values["contexts"] = contexts or None
        values["context"] = contexts[0] if len(contexts) == 1 else None
        return Shared(**values)

    @property
    def several(self) -> bool:
        """Whether more than one cluster was named."""
        return len(self.contexts or ()) + len(self.named or ()) > 1


OPTIONS = tuple(name for name in Shared._fields if name != "context")
"""The fields that are options; ``context`` follows from ``contexts``."""
