"""The settings of an agent in its record, for who compares the machine with what it sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.agent.interface import Firewall, Settings
from kgctl.mesh.agent_plan import AgentOptions, Compatibility, Encapsulation
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.policy import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kgctl.mesh.cidr import Cidr


class Access(NamedTuple):
    """How an agent was told to reach the API server; all are None in a Pod."""

    kubeconfig: str | None = None
    context: str | None = None
    master: str | None = None


_IN_A_POD = Access()


class Recorded(NamedTuple):
    """The settings of an agent, and its access to the cluster."""

    settings: Settings
    access: Access


def to_record(settings: Settings, access: Access = _IN_A_POD) -> dict[str, Any]:
    """Return settings for JSON: what decides what the agent sets, and nothing secret."""
    plan, limits = settings.plan, settings.limits
    return {
        "hostname": settings.hostname,
        "granularity": settings.granularity,
        "topology-label": settings.topology_label,
        "port": settings.port,
        "subnet": str(settings.subnet),
        "interface": settings.interface,
        "encapsulate": plan.encapsulation.value,
        "compatibility": plan.compatibility.value,
        "local": plan.local,
        "cni": plan.cni,
        "forward-rules": plan.forward_rules,
        "service-cidrs": _texts(plan.service_cidrs),
        "mtu": settings.mtu,
        "internal-cidrs": _texts(settings.internal_cidrs),
        "prioritise-private": settings.prioritise_private,
        "key-file": str(settings.key_file),
        "firewall": settings.firewall.value,
        "only-networks": _texts(limits.only_networks),
        "deny": _texts(limits.deny),
        "accept": {name: _texts(networks) for name, networks in limits.accept.items()},
        "access": list(access),
    }


def from_record(found: Mapping[str, Any]) -> Recorded | None:
    """Return recorded settings; None if there are none, or if they are invalid.

    No CNI file is managed by them.
    """
    try:
        limits = Limits(
            _networks(found["only-networks"]),
            _networks(found["deny"]),
            {_is(str, name): _networks(texts) for name, texts in found["accept"].items()},
        )
        plan = AgentOptions(
            encapsulation=Encapsulation(found["encapsulate"]),
            compatibility=Compatibility(found["compatibility"]),
            local=_is(bool, found["local"]),
            cni=_is(bool, found["cni"]),
            forward_rules=_is(bool, found["forward-rules"]),
            service_cidrs=_networks(found["service-cidrs"]),
        )
        mtu = found["mtu"]
        settings = Settings(
            hostname=_is(str, found["hostname"]),
            granularity=_is(str, found["granularity"]),
            topology_label=_is(str, found["topology-label"]),
            port=_is(int, found["port"]),
            subnet=_networks([found["subnet"]])[0],
            interface=_is(str, found["interface"]),
            plan=plan,
            mtu=None if mtu is None else _is(int, mtu),
            internal_cidrs=_networks(found["internal-cidrs"]),
            prioritise_private=_is(bool, found["prioritise-private"]),
            cni_file=None,
            key_file=Path(_is(str, found["key-file"])),
            firewall=Firewall(found["firewall"]),
            limits=limits,
        )
        kubeconfig, context, master = (
            None if one is None else _is(str, one) for one in _is(list, found["access"])
        )
        return Recorded(settings, Access(kubeconfig, context, master))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _texts(networks: Iterable[Cidr]) -> list[str]:
    return [str(one) for one in networks]


def _networks(texts: Iterable[Any]) -> tuple[Cidr, ...]:
    found = []
    for text in texts:
        network = parse_cidr(_is(str, text))
        if network is None:
            raise ValueError(text)
        found.append(network)
    return tuple(found)


def _is(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(value)
    return value
