"""``kgctl diff``: show the effects of a change to the network before you make it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.cli.core.source import folder_of
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.mesh.difference import Difference
    from kgctl.state.interface import Objects


class Format(StrEnum):
    """The format of the difference."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


Files = list[str] | None

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def diff(
    shared: Shared,
    base: Annotated[
        Files,
        typer.Option(
            metavar="FILE|REV",
            help="Compare with these files, or with the -f files at this git revision, instead of "
            "the live cluster.",
        ),
    ] = None,
    before: Annotated[
        Files, typer.Option("--from", metavar="FILE", help="A snapshot to compare with --to.")
    ] = None,
    after: Annotated[
        Files, typer.Option("--to", metavar="FILE", help="The later snapshot.")
    ] = None,
    settings: Annotated[
        Files,
        typer.Option(
            "--set",
            metavar="node/NAME:KEY=VALUE",
            help="Suppose that the node has this annotation.",
        ),
    ] = None,
    absent: Annotated[
        Files,
        typer.Option(
            "--without",
            metavar="node/NAME|peer/NAME",
            help="Suppose that this node or peer is gone.",
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="The output format.")
    ] = Format.TEXT,
) -> None:
    """Show what -f FILE, --set and --without would change in the network.

    Shows segments, leaders, addresses, endpoints, and links that are lost or gained.

    Exit code 0: no difference. 1: a difference. 2: an error.
    """
    found = _snapshots(shared, before, after) if before or after else None
    if found is None:
        found = _what_if(shared, base, settings or [], absent or [])
    elif base or settings or absent or shared.filename:
        raise UsageError(
            "--from and --to compare two snapshots: omit -f, --base, --set and --without"
        )
    answer(shown(found, output.value))
    raise typer.Exit(1 if found else 0)


def shown(found: Difference, output: str) -> str:
    """Return the difference in one of the formats."""
    from kgctl.render import changes as render

    if output == Format.JSON.value:
        from kgctl.kube.codec.structured import to_json

        return to_json(render.difference_to_object(found))
    if output == Format.MARKDOWN.value:
        return render.difference_to_markdown(found)
    return render.difference_to_text(found)


def _snapshots(shared: Shared, before: Files, after: Files) -> Difference:
    from kgctl.cli.commands.whatif import compared, read_files

    if not (before and after):
        raise UsageError("--from and --to go together: give both snapshots")
    return compared(shared, read_files(before), read_files(after), snapshots=True)


def _what_if(shared: Shared, base: Files, settings: list[str], absent: list[str]) -> Difference:
    from kgctl.cli.commands.whatif import changed, compared, read_base, read_files

    folder = folder_of(shared)
    if folder is not None:
        return _of_folder(shared, folder, base, settings, absent)
    if not (shared.filename or settings or absent):
        raise UsageError("nothing to compare: give -f FILE, --set, --without, or --from and --to")
    if base and shared.example:
        raise UsageError("--example and --base name two sources; give one of them")
    commit = _commit(base, shared)
    if commit is not None:
        return _since(shared, commit, base or [], settings, absent)
    now = read_base(shared, base)
    then = now
    if shared.filename:
        from kgctl.state.overlay import applied

        files = read_files(shared.filename)
        _note_compared(shared, base, now, files)
        then = applied(now, files)
    return compared(shared, now, changed(then, settings, absent), snapshots=bool(base))


def _of_folder(
    shared: Shared, folder: Path, base: Files, settings: list[str], absent: list[str]
) -> Difference:
    """Compare the network of a folder with how it was, or with how it would be."""
    from kgctl.cli.commands.whatif import changed, compared
    from kgctl.state.folder import Folder
    from kgctl.state.manifest_files import contents_at
    from kgctl.state.manifests import objects_in

    if settings:
        raise UsageError("--set is for annotations of nodes, and this network has none")
    if not (base or absent):
        raise UsageError(
            "nothing to compare: give --base REVISION (of git) or --base DIR, or --without"
        )
    now = Folder(folder).read()
    commit = _commit(base, shared)
    if commit is not None:
        before = objects_in(contents_at(commit, [str(folder)]))._replace(network=now.network)
    else:
        before = Folder(Path(base[0])).read() if base else now
    return compared(shared, before, changed(now, [], absent), snapshots=False)


def _commit(base: Files, shared: Shared) -> str | None:
    """Return the commit that ``--base`` names, or None if it names files or is not given."""
    if not base or any(one == "-" or Path(one).exists() for one in base):
        return None
    from kgctl.state.manifest_files import commit_of

    commit = commit_of(base[0]) if len(base) == 1 else None
    if commit is None:
        raise UsageError(
            f"--base {printable(base[0])} is neither a file nor a revision of a git repository here"
        )
    if not shared.filename:
        raise UsageError("--base with a git revision compares files: give -f FILE")
    return commit


def _since(
    shared: Shared, commit: str, base: list[str], settings: list[str], absent: list[str]
) -> Difference:
    """Compare the ``-f`` files at a commit with their current content."""
    from kgctl.cli.commands.whatif import changed, compared, read_files
    from kgctl.state.manifest_files import contents_at
    from kgctl.state.manifests import objects_in

    names = shared.filename or []
    before = objects_in(contents_at(commit, names))
    files = ", ".join(map(printable, names))
    note(f"compared: {files} at {printable(base[0])} with {files} as it is")
    return compared(shared, before, changed(read_files(names), settings, absent), snapshots=True)


def _note_compared(shared: Shared, base: Files, now: Objects, files: Objects) -> None:
    """Print on stderr what is compared: ``-f`` adds to the cluster, even if it is a snapshot."""
    what = "the example" if shared.example else "the live cluster"
    if base:
        what = ", ".join(map(printable, base))
    laid = ", ".join(map(printable, shared.filename or ()))
    note(f"compared: {what} as it is with {what} after kubectl apply -f {laid}")
    known = {node.name for node in now.nodes}
    if known and known <= {node.name for node in files.nodes}:
        note(
            f"{laid} holds every node of {what}, like a snapshot: objects that it lacks do not "
            "count as gone; to compare two snapshots: "
            f"--from {what if base else 'FILE'} --to {laid}"
        )
