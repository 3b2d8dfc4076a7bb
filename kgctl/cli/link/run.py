"""``kgctl link`` and ``kgctl unlink``: plan, show, ask and carry out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.confirm import ask
from kgctl.cli.core.output import Printer, answer
from kgctl.cli.link.options import as_judged
from kgctl.link.apply import apply_plan
from kgctl.link.peers import slug
from kgctl.link.plan import MissingKeysError, ObstacleError, plan_links, plan_unlink, wanted_objects
from kgctl.link.steps import ADD, CHANGE, REMOVE, LinkError, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kgctl.cli.core.shared import Shared
    from kgctl.cli.link.options import LinkOptions
    from kgctl.link.spec import LinkSpec

_WORDS = {ADD: "to add", CHANGE: "to change", REMOVE: "to remove"}
_DONE = {ADD: "added", CHANGE: "changed", REMOVE: "removed"}


def link(shared: Shared, options: LinkOptions) -> None:
    """Link clusters, once, or for as long as it is not interrupted.

    Raises:
        LinkError: something stands against it, or it was carried out in part.
        KgctlError: a cluster cannot be read or changed.
    """
    if options.watch and not options.yes:
        raise UsageError(
            "--watch changes clusters whenever there is something to change: add --yes"
        )
    if options.watch and (options.directory is not None or options.dry_run or options.rotate):
        raise UsageError(
            "--watch does not go with --directory, --dry-run or --rotate-preshared-keys"
        )
    spec = as_judged(options.spec(shared), shared)
    if options.watch:
        _watch(spec)
        return
    with _naming_options():
        if options.directory is not None:
            _write(spec, options.directory, options.output or "yaml")
        else:
            _settle(plan_links(spec, Printer()), options)


def remove_links(shared: Shared, options: LinkOptions) -> None:
    """Remove the links between clusters.

    Raises:
        LinkError: it was carried out in part.
        KgctlError: a cluster cannot be read or changed.
    """
    spec = options.spec(shared)
    with _naming_options():
        _settle(plan_unlink(spec, Printer()), options)


@contextmanager
def _naming_options() -> Iterator[None]:
    """Have errors name the options that help."""
    try:
        yield
    except ObstacleError as error:
        raise LinkError(
            f"not linked, nothing was changed: fix what is listed above, or allow it with "
            f"{' '.join(f'--allow {check}' for check in error.checks)}"
        ) from None
    except MissingKeysError as error:
        raise LinkError(
            f"{', '.join(error.clusters)} lack preshared keys that are to be generated: run it "
            "without --directory first, which makes them and keeps them in Secrets"
        ) from None


def _watch(spec: LinkSpec) -> None:
    from kgctl.link.watch import watch_links
    from kgctl.state.follow import end_at_signals

    end_at_signals()
    watch_links(spec, Printer())


def _settle(plan: Plan, options: LinkOptions) -> None:
    """Show the plan, ask unless told not to, and carry it out.

    Raises:
        LinkError: it was carried out in part.
        KgctlError: nobody said yes.
    """
    if text := plan.text(Printer().setting):
        answer(f"{text}\n")
    if plan.is_empty:
        answer("nothing to do\n")
        return
    answer(f"{_summary(plan, _WORDS)}{' (dry run)' if options.dry_run else ''}\n")
    if options.dry_run:
        return
    if not options.yes:
        ask("Do it?")
    apply_plan(plan)
    answer(f"done: {_summary(plan, _DONE)}\n")


def _summary(plan: Plan, words: Mapping[str, str]) -> str:
    return ", ".join(f"{count} {words[action]}" for action, count in plan.counts().items())


def _write(spec: LinkSpec, directory: Path, form: str) -> None:
    """Write what each cluster is to hold to a file of its own, as YAML or JSON."""
    from kgctl.cli.secret import warn_of_others
    from kgctl.files.writing import make_directory, write_private
    from kgctl.kube.codec.structured import to_json, to_yaml

    wanted = wanted_objects(spec, Printer())
    make_directory(directory)
    warn_of_others(directory / "FILE")
    for name, objects in wanted.items():
        text = "---\n".join(map(to_yaml, objects))
        if form == "json":
            text = to_json({"apiVersion": "v1", "kind": "List", "items": objects})
        path = directory / f"{slug(name)}.{form}"
        write_private(path, text.encode())
        answer(f"{path}\n")
