"""``kgctl deploy``: bring the files of a network in a folder to its machines, over ssh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import within
from kgctl.cli.core.choices import complete_peer
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.cli.commands.fleet import Member
    from kgctl.mesh.key import PublicKey
    from kgctl.remote.deployment import Outcome
    from kgctl.wireguard.deployment import Plan

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_UNDO_AFTER = 60
_SECONDS = range(2, 3601)


@app.command()
@with_shared
def deploy_files(
    shared: Shared,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="The machines. Default: all that have an --ssh setting.",
            autocompletion=complete_peer,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the changes, and make none.")
    ] = False,
    rollback_after: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            help="A machine that cannot be reached again after the change undoes it then.",
        ),
    ] = _UNDO_AFTER,
    enable: Annotated[
        bool, typer.Option("--enable", help="Have systemd start the tunnel at boot.")
    ] = False,
) -> None:
    """Bring the wg-quick files of a network in a folder to its machines, over ssh.

    A running tunnel is changed in place, so that sessions survive; a change of commands such as
    PostUp restarts it. Each machine is then reached again in a new session, and undoes the change
    by itself if that fails. Where to reach it: kgctl peer set NAME --ssh [USER@]HOST[:PORT].

    Exit code 1: it failed for a machine.
    """
    from kgctl.cli.commands.fleet import each, fleet_of
    from kgctl.remote.deployment import deploy
    from kgctl.remote.ssh import Ssh

    undo_after = within("--rollback-after", rollback_after, _SECONDS)
    ssh = Ssh()
    fleet = fleet_of(shared, names or (), ssh, "kgctl deploy", enable=enable)
    failed = False

    def work(member: Member) -> Outcome:
        return deploy(member.machine, member.wanted, undo_after, dry_run=dry_run)

    try:
        for member, outcome in each(fleet.members, ssh, work):
            answer("".join(f"{line}\n" for line in _lines(member.name, outcome, fleet.owners)))
            for text in outcome.notes:
                note(f"{printable(member.name)}: {text}")
            failed = failed or bool(outcome.failure)
    except KeyboardInterrupt:
        if not dry_run:
            note(
                "interrupted: a machine whose change was not confirmed undoes it by itself within "
                f"{undo_after} s"
            )
        raise
    raise typer.Exit(1 if failed else 0)


def _lines(name: str, outcome: Outcome, owners: dict[PublicKey, str]) -> Iterator[str]:
    """Yield the line of a machine; in a dry run, its changes below."""
    from kgctl.wireguard.deployment import Method

    shown, plan = printable(name), outcome.plan
    if outcome.failure or plan is None:
        yield f"{shown}: failed: {printable(outcome.failure, 600)}"
        return
    if plan.method is Method.NOTHING:
        yield f"{shown}: unchanged"
        return
    done = _EFFECTS[plan.method.value][outcome.dry]
    why = f" ({', '.join(plan.reasons)})" if plan.reasons else ""
    yield f"{shown}: {', '.join([*_counted(plan), done])}{why}"
    if outcome.dry:
        yield from _details(plan, owners)


_EFFECTS = {
    "file": ("comments of the file replaced", "would replace comments of the file"),
    "live": ("applied", "would be applied"),
    "start": ("tunnel started", "would start the tunnel"),
    "restart": ("tunnel restarted", "would restart the tunnel"),
}
"""What happened by the method, and what would happen."""


def _counted(plan: Plan) -> Iterator[str]:
    for change in ("added", "changed", "removed"):
        count = sum(one.change == change for one in plan.peers)
        if count:
            yield f"{count} peer{'' if count == 1 else 's'} {change}"
    yield from plan.others


_SIGNS = {"added": "+", "removed": "-", "changed": " "}


def _details(plan: Plan, owners: dict[PublicKey, str]) -> Iterator[str]:
    for one in plan.peers:
        who = printable(owners.get(one.key, f"key {one.key}"))
        yield f"  {_SIGNS[one.change]} {who}: {'; '.join(one.details)}"
