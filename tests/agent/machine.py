"""A machine in memory for the rounds of an agent: link, device, routes, and the API server."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from kgctl.agent.interface import Settings
from kgctl.agent.rounds import Rounds
from kgctl.connect.outside import Servers
from kgctl.host.interfaces import Interfaces, LinkState
from kgctl.host.names import Names
from kgctl.mesh.agent_plan import AgentOptions
from kgctl.wireguard.device import DeviceChange, DeviceState, applied
from kgctl.wireguard.keys import PrivateKey
from tests.connect.journals import Lines
from tests.host.test_host import Dns
from tests.support.several import NOW, key, objects_of
from tests.wireguard.test_device import cidr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.errors import KgctlError
    from kgctl.host.record import Record
    from kgctl.mesh.agent_plan import AgentPlan
    from kgctl.mesh.cidr import Cidr

TIME = float(NOW)
KEY = PrivateKey(b"k" * 32).clamped()
OWN = str(KEY.public_key())
NODE = "ams-1"
INTERFACES = Interfaces(
    {1: LinkState(1, "lo", 65536), 2: LinkState(2, "eth0", 1500), 3: LinkState(3, "eth1", 1500)},
    ((1, cidr("127.0.0.1/8")), (2, cidr("198.51.100.11/24")), (3, cidr("10.1.0.11/24"))),
    2,
    frozenset({IPv4Address("198.51.100.1")}),
)
API_SERVER = "10.250.0.1"


class Link:
    """A ``NodeLink`` that is also its own device; ``calls`` are what changed something."""

    def __init__(self) -> None:
        self.state = DeviceState()
        self.address: Cidr | None = None
        self.mtu = 0
        self.up = False
        self.reads = 0
        self.changes: list[DeviceChange] = []
        self.new = True

    @property
    def device(self) -> Link:
        return self

    def open(self) -> bool:
        new, self.new = self.new, False
        return new

    def read(self) -> DeviceState:
        self.reads += 1
        return self.state

    def apply(self, change: DeviceChange) -> None:
        self.changes.append(change)
        self.state = applied(self.state, change)

    def dress(self, address: Cidr | None, *, mtu: int) -> bool:
        before = self.address, self.mtu
        self.address, self.mtu = address or self.address, mtu
        return before != (self.address, self.mtu)

    def set_up(self, up: bool) -> bool:
        before, self.up = self.up, up
        return before != up


class Installed:
    """A ``NodeNetwork`` that keeps its last plan; it fails as often as it is told."""

    def __init__(self) -> None:
        self.plan: AgentPlan | None = None
        self.calls: list[bool] = []
        self.errors: list[KgctlError] = []

    def apply(self, plan: AgentPlan, *, private: LinkState | None, whole: bool) -> list[KgctlError]:
        self.plan, self.private = plan, private
        self.calls.append(whole)
        failures, self.errors = self.errors, []
        return failures

    def clean_up(self, failed: Callable[[str, KgctlError], None]) -> None:
        self.plan = None

    def close(self) -> None: ...

    def firewall_operations(self) -> Mapping[tuple[str, str, str, str], int]:
        return {}


class Wanted:
    """An ``Announcer`` that keeps what is wanted last."""

    def __init__(self) -> None:
        self.annotations: Mapping[str, str] = {}

    def want(self, wanted: Mapping[str, str], present: Mapping[str, str]) -> None:
        self.annotations = wanted

    def __getitem__(self, name: str) -> str:
        return self.annotations[f"kilo.squat.ai/{name}"]


class Machine:
    """The rounds of the agent of ``ams-1`` on a machine in memory."""

    def __init__(
        self,
        dns: Dns | None = None,
        *,
        earlier: Record | None = None,
        clock: Callable[[], float] = lambda: TIME,
        link: Link | None = None,
        record: Callable[[Record], None] = lambda _record: None,
        **settings: Any,
    ) -> None:
        values = {
            "hostname": NODE,
            "granularity": "location",
            "topology_label": "topology.kubernetes.io/region",
            "port": 51820,
            "subnet": cidr("10.4.0.0/16"),
            "interface": "kilo0",
            "plan": AgentOptions(),
            "cni_file": None,
        }
        self.link, self.installed, self.announced = link or Link(), Installed(), Wanted()
        self.lines = Lines()
        self.interfaces = INTERFACES
        self.names = Names(lambda: None, dns or Dns())
        self.settings = Settings(**{**values, **settings})
        self.rounds = Rounds(
            self.settings,
            KEY,
            self.link,  # type: ignore[arg-type]
            self.installed,
            self.announced,  # type: ignore[arg-type]
            self.names,
            Servers(API_SERVER, self.names, connections=frozenset),
            self.lines.journal,
            interfaces=lambda: self.interfaces,
            record=record,
            earlier=earlier,
            clock=clock,
        )

    def round(self, *objects: dict[str, Any], whole: bool = False, now: float = TIME) -> bool:
        return self.rounds.apply(objects_of([*objects]), now, whole=whole)

    @property
    def plan(self) -> AgentPlan:
        assert self.installed.plan is not None
        return self.installed.plan

    def told(self, level: str = "warn") -> list[dict[str, Any]]:
        return [line for line in self.lines.told() if line["level"] == level]


def the_node(number: int, location: str, **annotations: str) -> dict[str, Any]:
    """Return the Node ``LOCATION-NUMBER``, with pods in 10.42.NUMBER.0/24."""
    name = f"{location}-{number}"
    own = {
        "key": key(name),
        "endpoint": f"203.0.113.{number}:51820",
        "internal-ip": f"10.{number}.0.1/24",
        "location": location,
        "granularity": "location",
        "last-seen": NOW,
    } | {one.replace("_", "-"): value for one, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {f"kilo.squat.ai/{one}": value for one, value in own.items()},
        },
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
    }


def own_node(**annotations: str) -> dict[str, Any]:
    """Return the Node of the machine, as the kubelet makes it."""
    values = {f"kilo.squat.ai/{one.replace('_', '-')}": text for one, text in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "annotations": {"kilo.squat.ai/location": "ams", **values}},
        "spec": {"podCIDR": "10.42.1.0/24"},
    }
