"""Options that every command accepts, before and after its name."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgctl.cli.core.line import Shared as Shared
from kgctl.cli.core.output import trouble_exits_2
from kgctl.cli.core.surroundings import surrounded
from kgctl.cli.core.table import OPTIONS, VERSION, Kind, Option

if TYPE_CHECKING:
    from collections.abc import Callable


def print_version(asked: bool) -> None:
    """Print the version and exit, if ``asked``."""
    if asked:
        from kgctl import __version__

        typer.echo(f"kgctl version {__version__}")
        raise typer.Exit


_VersionOption = Annotated[
    bool,
    typer.Option(*VERSION, help="Print the version.", is_eager=True, callback=print_version),
]


def with_shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command or a group of commands.

    The function gets them as its argument ``shared``, merged with those before the command's name,
    and Typer's context as ``ctx`` if it has such an argument. Its other arguments come from Typer.
    """
    return with_shared_but()(function)


def with_shared_but(*left_out: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the shared options except those in ``left_out``.

    A command leaves out options whose letters it uses itself.
    """
    return lambda function: _with_shared(function, frozenset(left_out))


def _with_shared(function: Callable[..., Any], left_out: frozenset[str]) -> Callable[..., Any]:
    signature = inspect.signature(function, eval_str=True)
    given_anyway = ("shared", "ctx")
    own = [one for name, one in signature.parameters.items() if name not in given_anyway]
    takes_context = "ctx" in signature.parameters

    taken = [option.field for option in OPTIONS if option.field not in left_out]
    several = getattr(function, "several", False)

    @wraps(function)
    def command(ctx: typer.Context, version: bool, **given: Any) -> Any:
        options = Shared(**{name: given.pop(name) for name in taken})
        ctx.obj = options.over(ctx.obj)
        with trouble_exits_2(ctx):
            _refuse_without_effect(ctx)
            if ctx.invoked_subcommand is None:
                ctx.obj = surrounded(_names(ctx)[0], ctx.obj)
            if ctx.obj.named or (ctx.obj.several and not several):
                ctx.obj = _chosen(ctx, several)
            if takes_context:
                given["ctx"] = ctx
            return function(shared=ctx.obj, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in own),
        *(one for one in _SHARED_PARAMETERS if one.name not in left_out),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    del command.__wrapped__  # else Typer would read the signature of the wrapped function
    return command


def of_several(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a command that supports several clusters at once; others refuse them."""
    function.several = True  # type: ignore[attr-defined]
    return function


def _refuse_without_effect(ctx: typer.Context) -> None:
    """Make sure that each option of a command has an effect.

    Raises:
        UsageError: an option has no effect.
    """
    from kgctl.cli.core.effects import EFFECTS, SEVERAL, without_effect

    command = " ".join(_names(ctx))
    if command not in EFFECTS:
        return
    given = _given(ctx) | ({SEVERAL} if ctx.obj.several else set())
    wrong = without_effect(command, given, str(ctx.params.get("output") or ""))
    if wrong is not None:
        from kgctl.cli.core.arguments import UsageError

        raise UsageError(wrong)


def _names(ctx: typer.Context) -> list[str]:
    """Return the name of the command, and of its subcommand; an empty one for kgctl itself."""
    names: list[str] = []
    outer: Any = ctx
    while outer.parent is not None:
        names.insert(0, str(outer.info_name))
        outer = outer.parent
    return names or [""]


def _given(ctx: typer.Context) -> set[str]:
    """Return the long names of the options that were given and are not empty or off."""
    found: set[str] = set()
    for parameter in ctx.command.params:
        name = str(parameter.name)
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and ctx.params.get(name):
            found.update(option for option in parameter.opts if option.startswith("--"))
    return found


def _chosen(ctx: typer.Context, several: bool) -> Shared:
    """Return the shared options, with a single ``--cluster`` turned into the options that read it.

    Raises:
        UsageError: the command supports one cluster, but got several.
    """
    from kgctl.cli.core.arguments import UsageError
    from kgctl.cli.core.clusters import chosen_clusters

    shared: Shared = ctx.obj
    if ctx.invoked_subcommand is not None:
        return shared
    if not shared.several:
        (only,) = chosen_clusters(shared)
        return only.shared
    if not several:
        raise UsageError(
            f"{ctx.command_path} works on one cluster: give one --context or --cluster"
        )
    return shared


def shared_of(context: typer.Context) -> Shared:
    """Return the shared options parsed so far, to complete a command line."""
    names = {option.field for option in OPTIONS}
    options = Shared()
    chain = [context]
    while chain[-1].parent is not None:
        chain.append(chain[-1].parent)  # type: ignore[arg-type]
    for one in reversed(chain):
        given = {name: value for name, value in one.params.items() if name in names}
        options = Shared(**given).over(options)
    return surrounded(_names(context)[0], options)


_TYPES: dict[Kind, Any] = {
    "text": str | None,
    "texts": list[str] | None,
    "number": int | None,
    "switch": bool | None,
}


def _parameter(option: Option) -> inspect.Parameter:
    name = f"{option.name}/{option.off}" if option.off else option.name
    declared = typer.Option(
        *filter(None, (name, option.short)),
        metavar=option.metavar,
        help=option.help,
        show_default=False,
    )
    return inspect.Parameter(
        option.field,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[_TYPES[option.kind], declared],
    )


def _shared_parameters() -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    version = inspect.Parameter("version", keyword, default=False, annotation=_VersionOption)
    return [*map(_parameter, OPTIONS), version]


_SHARED_PARAMETERS = _shared_parameters()
