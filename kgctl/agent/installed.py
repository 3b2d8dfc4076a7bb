"""What an agent sets on its machine besides the WireGuard link; a ``NodeNetwork``.

The parts are in ``kgctl.host``: the interface for packets within a location, the firewall, routes
and policy rules, and the kernel's parameters for forwarding.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from kgctl.agent.interface import Firewall
from kgctl.errors import KgctlError
from kgctl.host.changes import ChangeWatcher
from kgctl.host.encapsulation import EncapsulationLink
from kgctl.host.firewall import has_ipv6
from kgctl.host.iptables import Iptables
from kgctl.host.nftables import Nftables
from kgctl.host.node import NodeNetwork
from kgctl.host.sysctls import Sysctls
from kgctl.mesh.agent_plan import Encapsulation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kgctl.agent.interface import Settings
    from kgctl.connect.journal import Journal
    from kgctl.host.firewall import FirewallProgram
    from kgctl.host.interfaces import LinkState
    from kgctl.host.node import Installed
    from kgctl.host.node_record import ChangedSysctl, NodeRecordFile
    from kgctl.mesh.agent_plan import AgentPlan

IPIP_OVERHEAD = 20
"""Bytes that IP in IP adds to a packet: an IPv4 header."""

_ETHERNET = 1500  # bytes: the MTU of an unknown link
_MOST_TOLD = 10_000


def firewall_programs(chosen: Firewall) -> tuple[FirewallProgram, FirewallProgram]:
    """Return the chosen program, and the other, by which an earlier agent may have set rules."""
    programs = Iptables(), Nftables()
    return programs if chosen is Firewall.IPTABLES else programs[::-1]


def encapsulation_of(settings: Settings, record: NodeRecordFile) -> EncapsulationLink | None:
    """Return the interface for packets within a location; None if nothing is encapsulated."""
    if settings.plan.encapsulation is Encapsulation.NEVER:
        return None
    return EncapsulationLink(settings.plan.compatibility, record)


def tunnel_mtu(private: LinkState | None) -> int:
    """Return the MTU of that interface, in bytes; ``private`` is the link of the internal IP."""
    return (_ETHERNET if private is None else private.mtu) - IPIP_OVERHEAD


def parameters(sysctls: Sysctls, plan: AgentPlan, devices: Iterable[str | None]) -> dict[str, str]:
    """Return the kernel's parameters that have to change, with the wanted values.

    A host that forwards IPv6 ignores router advertisements, so only a network of IPv6 does.
    """
    six = has_ipv6() and any(route.dst.version == 6 for route in plan.routes)
    return sysctls.wanted([one for one in devices if one is not None], ipv6=six)


class InstalledNetwork:
    """The network of an agent; ``changed`` is called after changes that others make to it.

    ``record`` remembers what an agent made, also one that was killed; the caller locks it.
    """

    def __init__(
        self,
        settings: Settings,
        record: NodeRecordFile,
        journal: Journal,
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._record = record
        self._journal = journal
        self._changed = changed
        self._firewall, self._other = firewall_programs(settings.firewall)
        self._tunnel = encapsulation_of(settings, record)
        self._tunnel_name: str | None = None
        self._sysctls = Sysctls()
        self._network: NodeNetwork | None = None
        self._links: tuple[str | None, ...] = ()
        self._watcher: ChangeWatcher | None = None
        self._told: set[str] = set()
        self.sweep()

    def apply(self, plan: AgentPlan, *, private: LinkState | None, whole: bool) -> list[KgctlError]:
        """Set what a plan says; see ``NodeNetwork`` of ``kgctl.agent.interface``."""
        failures: list[KgctlError] = []
        self._set_tunnel(plan, private, failures, whole=whole)
        try:
            if whole:
                self._set_parameters(plan)
            done = self._over(private).apply(plan, whole=whole)
        except KgctlError as error:
            return [*failures, error]
        self._report(done)
        return [*failures, *done.failures]

    def sweep(self) -> None:
        """Remove the rules that an earlier agent set by the other program of firewalls."""
        # without that program there are none of its rules, or nobody could remove them
        with suppress(KgctlError):
            self._other.clean_up()

    def clean_up(self, failed: Callable[[str, KgctlError], None]) -> None:
        """Remove all of it; see ``NodeNetwork`` of ``kgctl.agent.interface``."""
        self._end_watching()
        if self._network is None:
            self._open_network(self._settings.interface, None, None)
        assert self._network is not None
        self._network.clean_up(failed)
        try:
            record = self._record.read()
            for problem in self._sysctls.restore(record.sysctls):
                self._journal.warn(str(problem))
            self._record.write(replace(record, sysctls=()))
        except KgctlError as error:
            failed("restore the kernel's parameters", error)
        if self._tunnel is not None:
            self._tunnel.clean_up(failed)

    def close(self) -> None:
        """Close every socket, and end the thread; what is set stays."""
        self._end_watching()
        for part in (self._network, self._tunnel):
            if part is not None:
                part.close()

    def firewall_operations(self) -> Mapping[tuple[str, str, str, str], int]:
        """Return the numbers of calls of firewall programs, by kind."""
        return self._firewall.operations

    def _set_tunnel(
        self,
        plan: AgentPlan,
        private: LinkState | None,
        failures: list[KgctlError],
        *,
        whole: bool,
    ) -> None:
        """Set up the interface for packets within the location, if there is one."""
        if self._tunnel is None or not plan.tunnels or not (whole or self._tunnel_name is None):
            return
        try:
            found = self._tunnel.open()
            self._tunnel.dress(found, address=plan.tunnel_address, mtu=tunnel_mtu(private))
            self._tunnel_name = found.link.name
        except KgctlError as error:
            failures.append(error)

    def _set_parameters(self, plan: AgentPlan) -> None:
        """Set the kernel's parameters that forwarding takes, and warn of what cannot be set."""
        wanted = parameters(self._sysctls, plan, [self._settings.interface, self._tunnel_name])
        done = self._sysctls.set(wanted, self._note)
        for one in done.changed:
            self._journal.info("set a kernel parameter", name=one.name, value=one.new)
        for problem in done.problems:
            self._tell(str(problem))

    def _note(self, changes: Sequence[ChangedSysctl]) -> None:
        """Record parameters before they change; of two changes, the first has the old value."""
        record = self._record.read()
        known = {one.name: one for one in (*changes, *record.sysctls)}
        self._record.write(replace(record, sysctls=tuple(known.values())))

    def _over(self, private: LinkState | None) -> NodeNetwork:
        """Return the network over the present links."""
        links = (self._settings.interface, self._tunnel_name, private and private.name)
        if self._network is None or self._links != links:
            self._open_network(*links)
        assert self._network is not None
        return self._network

    def _open_network(self, wireguard: str, tunnel: str | None, private: str | None) -> None:
        self._end_watching()
        if self._network is not None:
            self._network.close()
        self._network = NodeNetwork(
            wireguard=wireguard,
            tunnel=tunnel,
            private=private,
            firewall=self._firewall,
            record=self._record,
        )
        self._links = wireguard, tunnel, private
        devices = [name for name in self._links if name is not None]
        network = self._network
        self._watcher = ChangeWatcher(self._changed, devices, lambda: network.ports)

    def _end_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _report(self, done: Installed) -> None:
        if done.changed:
            self._journal.debug(
                "set routes and rules",
                routes_added=done.routes_added,
                routes_replaced=done.routes_replaced,
                routes_removed=done.routes_removed,
                rules_added=done.rules_added,
                rules_removed=done.rules_removed,
                firewall_written=done.firewall_written,
            )
        for rule in done.refused_rules:
            self._tell(f"policy rule refused: {rule.rule}: {rule.reason}")
        for one in done.refused:
            self._tell(f"route refused: {one.route.dst} by {one.route.device}: {one.reason}")

    def _tell(self, text: str) -> None:
        """Warn once of what stays as it is."""
        if text not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(text)
            self._journal.warn(text)
