"""The options that every command has, accepted before and after its name."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable


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
            help="The node label that tells the location. Default: topology.kubernetes.io/region.",
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
            help="Say more on stderr: requests, tracebacks.",
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


def print_version(asked: bool) -> None:
    """Print the version and end, where it was asked for."""
    if asked:
        from kgctl import __version__

        typer.echo(f"kgctl version {__version__}")
        raise typer.Exit


_VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", "-v", help="Print the version.", is_eager=True, callback=print_version
    ),
]


def with_shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command, or a group of commands, the shared options.

    The function gets them as its argument ``shared``, merged with those that stood before the
    command's name; its other arguments stay Typer's.
    """
    return with_shared_but()(function)


def with_shared_but(*left_out: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what gives a command the shared options without some, whose letters it uses itself."""
    return lambda function: _with_shared(function, frozenset(left_out))


def _with_shared(function: Callable[..., Any], left_out: frozenset[str]) -> Callable[..., Any]:
    signature = inspect.signature(function, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "shared"]

    taken = [name for name in OPTIONS if name not in left_out]
    several = getattr(function, "several", False)

    @wraps(function)
    def command(ctx: typer.Context, version: bool, **given: Any) -> Any:
        options = Shared(**{name: given.pop(name) for name in taken})
        ctx.obj = options.over(ctx.obj)
        if ctx.obj.named or (ctx.obj.several and not several):
            ctx.obj = _chosen(ctx, several)
        return function(shared=ctx.obj, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in own),
        *(one for one in _SHARED_PARAMETERS if one.name not in left_out),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    del command.__wrapped__  # else Typer would read the signature of what is wrapped
    return command


def of_several(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a command that can look at several clusters at once; others refuse them."""
    function.several = True  # type: ignore[attr-defined]
    return function


def _chosen(ctx: typer.Context, several: bool) -> Shared:
    """Return the options such that a single ``--cluster`` reads like any other source.

    Raises:
        UsageError: a command of one cluster was given several.
    """
    from kgctl.cli.arguments import UsageError
    from kgctl.cli.clusters import chosen_clusters

    shared: Shared = ctx.obj
    if ctx.invoked_subcommand is not None:
        return shared
    try:
        if not shared.several:
            (only,) = chosen_clusters(shared)
            return only.shared
        if not several:
            raise UsageError(
                f"{ctx.command_path} works on one cluster: give one --context or --cluster"
            )
    except UsageError as error:
        error.ctx = ctx  # type: ignore[attr-defined]  # tells the exit code
        raise
    return shared


def shared_of(context: typer.Context) -> Shared:
    """Return the shared options as far as they are parsed, for completing a command line."""
    names = set(OPTIONS)
    options = Shared()
    chain = [context]
    while chain[-1].parent is not None:
        chain.append(chain[-1].parent)  # type: ignore[arg-type]
    for one in reversed(chain):
        given = {name: value for name, value in one.params.items() if name in names}
        options = Shared(**given).over(options)
    return options


def _shared_parameters() -> list[inspect.Parameter]:
    hints = get_type_hints(Shared, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, keyword, default=None, annotation=hints[name]) for name in OPTIONS
    ]
    version = inspect.Parameter("version", keyword, default=False, annotation=_VersionOption)
    return [*shared, version]


_SHARED_PARAMETERS = _shared_parameters()
