"""A session of ``kgctl agent``: the node announces itself, follows the network, and leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kgctl.connect.schedule import TICK, Deadline, Schedule, Signals, collect_often, run
from kgctl.errors import InterfaceGoneError, KgctlError
from kgctl.state.follow import Contact, Inbox
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.agent.announcer import Announcer
    from kgctl.agent.interface import Figures, NodeNetwork, Settings
    from kgctl.agent.rounds import Rounds
    from kgctl.connect.interface import Copy
    from kgctl.connect.journal import Journal
    from kgctl.errors import ClusterError
    from kgctl.host.node_link import NodeLink
    from kgctl.mesh.state import State

HOST = "host"
"""The kind of a change on this machine, beside the kinds of objects."""


class AgentSession:
    """One session of an agent; it is the ``View`` of its web server.

    ``leave`` removes the node's annotations. The parts are made by ``kgctl agent``.
    """

    def __init__(
        self,
        settings: Settings,
        rounds: Rounds,
        announcer: Announcer,
        link: NodeLink,
        installed: NodeNetwork,
        journal: Journal,
        *,
        leave: Callable[[], object],
        inbox: Inbox,
    ) -> None:
        self._settings = settings
        self._announcer = announcer
        self._link = link
        self._installed = installed
        self._journal = journal
        self._leave = leave
        self._inbox = inbox
        self._signals = Signals(inbox)
        self._contact = Contact()
        self._rounds = rounds

    # --- for its web server ---

    def figures(self) -> Figures:
        """Return the current figures; see ``View``."""
        return self._rounds.figures

    def state(self) -> tuple[State, float] | None:
        """Return the network as last read; see ``View``."""
        return self._rounds.seen

    # --- the informers' listener ---

    def changed(self, kind: str, name: str) -> None:
        """Record a change; the informers' threads call this."""
        self._journal.debug("event", kind=kind, name=name)
        self._inbox.changed(kind)

    def failed(self, kind: str, error: ClusterError, pause: float) -> None:
        """Log that the cluster cannot be followed; the network keeps working."""
        self._rounds.count_error("run")
        if kind == "nodes":
            self._contact.failed()
        self._journal.warn(f"cannot follow {kind}", err=error, retry_in=f"{pause:.1f}s")

    # --- running ---

    def once(self, copy: Copy, seconds: float = 30.0) -> bool:
        """Follow the cluster until it was read once, run a whole round, and announce the node.

        Returns whether all of it succeeded.

        Raises:
            KgctlError: the cluster was not read in time, or the machine cannot be read.
        """
        copy.start()
        deadline = steady() + seconds
        while (objects := copy.read()) is None:
            if steady() > deadline:
                raise KgctlError(f"the cluster was not read within {seconds:.0f} s")
            time.sleep(0.02)
        applied = self._rounds.apply(objects, time.time(), whole=True)
        announced = self._announcer.settle(max(1.0, deadline - steady()))
        self._announcer.end()
        self._installed.close()
        self._link.close()
        return applied and announced

    def stay(self, copy: Copy) -> None:
        """Follow the network until a signal comes, and leave."""
        with self._signals.taken():
            collect_often()
            copy.start()
            ended = run(
                self._inbox,
                Schedule(self._settings.period),
                lambda whole: self.act(copy, whole=whole),
                tick=lambda: self._hear(copy),
                every=TICK,
                timers=(Deadline(self._ends_in, lambda: self.act(copy, whole=False)),),
            )
            self._journal.info("received signal, shutting down", signal=ended)
            self.leave()

    def act(self, copy: Copy, *, whole: bool) -> bool:
        """Run a round; return whether it succeeded."""
        self._hear(copy)
        objects = copy.read()
        if objects is None:
            return True  # an event follows when it is complete
        whole = HOST in self._inbox.kinds() or whole
        try:
            return self._rounds.apply(
                objects,
                self._judged(),
                whole=whole,
                after_outage=self._contact.is_grace(steady()),
            )
        except KgctlError as error:
            if isinstance(error, InterfaceGoneError):
                self._rounds.forget()
            self._rounds.count_error("apply")
            self._journal.error("failed to apply", err=error)
            return False

    def _hear(self, copy: Copy) -> None:
        if copy.heard:
            self._contact.heard(copy.heard, copy.heard_steady)

    def _judged(self) -> float:
        """Return the time at which heartbeats are judged."""
        return self._contact.judged(time.time(), steady())

    def _ends_in(self) -> float:
        """Return the seconds until the next heartbeat is too old, or the next peer expires."""
        stale = self._rounds.stale_at - self._judged()
        return min(stale, self._rounds.expires_at - time.time())

    # --- leaving ---

    def leave(self) -> None:
        """Clean up what the agent made, unless the settings disable that."""
        self._announcer.end()
        if self._settings.clean_up:
            self._installed.clean_up(self._failed_to)
            self._attempt("remove the annotations", self._leave)
            if self._settings.clean_up_interface:
                self._attempt("delete the interface", self._link.delete)
        self._installed.close()
        self._link.close()

    def _attempt(self, what: str, step: Callable[[], object]) -> None:
        try:
            step()
        except KgctlError as error:
            self._failed_to(what, error)

    def _failed_to(self, what: str, error: KgctlError) -> None:
        self._rounds.count_error("cleanUp")
        self._journal.error(f"failed to {what}", err=error)
