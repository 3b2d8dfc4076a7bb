"""What a node's agent sets on its machine besides the WireGuard device: one place for all of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from kgctl.errors import HostError, KgctlError
from kgctl.host.differences import Difference, Part
from kgctl.host.firewall import rules_of
from kgctl.host.host_routes import HostRoute, RefusedRoute
from kgctl.host.node_routes import Applied, NodeRoutes
from kgctl.host.policy_rules import AppliedRules, HostRule, PolicyRules, RefusedRule
from kgctl.host.route_messages import MAIN
from kgctl.mesh.agent_plan import Device

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.host.firewall import FirewallProgram
    from kgctl.host.node_record import NodeRecordFile
    from kgctl.mesh.agent_plan import AgentPlan, PolicyRule, Route

T = TypeVar("T")

_MISSING = {
    Device.WIREGUARD: "this node has no WireGuard interface",
    Device.PRIVATE: "this node has no private interface",
    Device.TUNNEL: "this node has no interface for encapsulation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What a round changed, and the routes and rules that this machine did not take.

    ``failures`` are of whole parts, which stopped no other part.
    """

    routes_added: int = 0
    routes_replaced: int = 0
    routes_removed: int = 0
    rules_added: int = 0
    rules_removed: int = 0
    firewall_written: bool = False
    refused: list[RefusedRoute] = field(default_factory=list)
    refused_rules: list[RefusedRule] = field(default_factory=list)
    failures: list[KgctlError] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the round changed anything on this machine."""
        return self.firewall_written or any(
            (
                self.routes_added,
                self.routes_replaced,
                self.routes_removed,
                self.rules_added,
                self.rules_removed,
            )
        )


class NodeNetwork:
    """The firewall, routes and policy rules of an agent.

    ``wireguard``, ``tunnel`` and ``private`` are names of interfaces: WireGuard's, the
    encapsulation's, and the one with the node's internal IP. ``record`` remembers the routes on the
    private interface, which nothing else marks as the agent's.
    """

    def __init__(
        self,
        *,
        wireguard: str,
        tunnel: str | None,
        private: str | None,
        firewall: FirewallProgram,
        record: NodeRecordFile,
    ) -> None:
        self._names = {
            Device.WIREGUARD: wireguard,
            Device.TUNNEL: tunnel,
            Device.PRIVATE: private,
        }
        self._own = {name for name in (wireguard, tunnel) if name is not None}
        self._firewall = firewall
        self._record = record
        self._known: set[HostRoute] | None = None
        self._routes = NodeRoutes(self._own)
        self._rules = PolicyRules()

    @property
    def ports(self) -> frozenset[int]:
        """The netlink ports that notifications of changes made here carry."""
        return frozenset({self._routes.port, self._rules.port})

    def close(self) -> None:
        """Close the sockets; everything that is set stays."""
        self._routes.close()
        self._rules.close()

    def apply(self, plan: AgentPlan, *, whole: bool) -> Installed:
        """Set what a plan says: the firewall, then routes, then policy rules.

        A ``whole`` round compares with what the machine has, others with what was set last. An
        error in one part stops no other; none is raised.
        """
        failures: list[KgctlError] = []
        written = _attempt(
            failures, lambda: self._firewall.apply(rules_of(plan), whole=whole), default=False
        )
        routes, refused = self._host_routes(plan.routes)
        applied = self._apply_routes(routes, failures, whole=whole)
        rules, missing = self._host_rules(plan.rules)
        ruled = _attempt(
            failures, lambda: self._rules.apply(rules, whole=whole), default=AppliedRules()
        )
        return Installed(
            routes_added=applied.added,
            routes_replaced=applied.replaced,
            routes_removed=applied.removed,
            rules_added=ruled.added,
            rules_removed=ruled.removed,
            firewall_written=written,
            refused=[*refused, *applied.refused],
            refused_rules=[*missing, *ruled.refused],
            failures=failures,
        )

    def differences(self, plan: AgentPlan, failures: list[KgctlError]) -> list[Difference]:
        """Return how the machine differs from a plan: what a whole round would change or could not.

        Nothing is changed. Errors of parts that cannot be read are appended to ``failures``.
        """
        found: list[Difference] = []
        routes, missing = self._host_routes(plan.routes)
        rules, lacking = self._host_rules(plan.rules)
        steps: list[Callable[[], list[Difference]]] = [
            lambda: self._routes.differences(routes, self._recorded()),
            lambda: self._rules.differences(rules),
            lambda: self._firewall.differences(rules_of(plan)),
        ]
        for step in steps:
            found += _attempt(failures, step, default=[])
        found += (Difference(Part.ROUTE, str(one.route.dst), None, one.reason) for one in missing)
        found += (Difference(Part.RULE, str(one.rule), None, one.reason) for one in lacking)
        return found

    def clean_up(self, failed: Callable[[str, KgctlError], None]) -> None:
        """Remove everything that ``apply`` set, in any life of the agent; go on after an error.

        ``failed`` gets each failed step and its error.
        """
        steps: dict[str, Callable[[], object]] = {
            "remove the firewall rules": self._firewall.clean_up,
            "remove the routes": self._remove_routes,
            "remove the policy rules": lambda: _all(self._rules.apply([]).refused),
        }
        for what, step in steps.items():
            try:
                step()
            except KgctlError as error:
                failed(what, error)

    def _remove_routes(self) -> None:
        done = self._routes.apply([], self._recorded())
        self._note(self._recorded() & {one.route for one in done.refused})
        _all(done.refused)

    def _apply_routes(
        self, routes: list[HostRoute], failures: list[KgctlError], *, whole: bool
    ) -> Applied:
        """Set the routes; those that nothing marks are recorded before they are set."""
        known = self._recorded()
        wanted = {_normal(route) for route in routes if self._is_unmarked(route)}
        if not wanted <= known:
            _attempt(failures, lambda: self._note(known | wanted), default=None)
        applied = _attempt(
            failures, lambda: self._routes.apply(routes, known, whole=whole), default=Applied()
        )
        now = {route for route in self._routes.applied() if self._is_unmarked(route)}
        # what could not be removed is still the agent's, and so is all after a failed round
        now |= known & {one.route for one in applied.refused}
        if now != self._recorded() and self._routes.is_certain:
            _attempt(failures, lambda: self._note(now), default=None)
        return applied

    def _recorded(self) -> set[HostRoute]:
        if self._known is None:
            self._known = set(self._record.read().routes)
        return self._known

    def _note(self, routes: set[HostRoute]) -> None:
        record = self._record.read()
        self._record.write(replace(record, routes=tuple(sorted(routes, key=_order))))
        self._known = routes

    def _is_unmarked(self, route: HostRoute) -> bool:
        return route.table == MAIN and route.device not in self._own

    def _host_routes(self, routes: tuple[Route, ...]) -> tuple[list[HostRoute], list[RefusedRoute]]:
        found, refused = [], []
        for route in routes:
            name = self._names[route.device]
            one = HostRoute(route.dst, name or "", route.via, route.src, route.table or MAIN)
            if name is None:
                refused.append(RefusedRoute(one, _MISSING[route.device]))
            else:
                found.append(one)
        return found, refused

    def _host_rules(
        self, rules: tuple[PolicyRule, ...]
    ) -> tuple[list[HostRule], list[RefusedRule]]:
        found, refused = [], []
        for rule in rules:
            name = None if rule.iif is None else self._names[rule.iif]
            one = HostRule(rule.dst, rule.src, name)
            if rule.iif is not None and name is None:
                refused.append(RefusedRule(one, _MISSING[rule.iif]))
            else:
                found.append(one)
        return found, refused


def _order(route: HostRoute) -> tuple[int, int, str]:
    return *route.key, route.device


def _normal(route: HostRoute) -> HostRoute:
    """Return a route as the kernel has it."""
    src = route.src if route.src is not None and route.src.version == route.dst.version else None
    return route._replace(dst=route.dst.masked(), src=src)


def _attempt(failures: list[KgctlError], step: Callable[[], T], default: T) -> T:
    try:
        return step()
    except KgctlError as error:
        failures.append(error)
        return default


def _all(refused: tuple[RefusedRoute, ...] | tuple[RefusedRule, ...]) -> None:
    """Check that nothing was refused.

    Raises:
        HostError: something was; the message has the first reason.
    """
    if refused:
        raise HostError(f"{len(refused)} of them could not be removed: {refused[0].reason}")
