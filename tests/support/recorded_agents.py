"""The recorded decisions of the reference's agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgctl.mesh.agent_plan import AgentOptions, Compatibility, Encapsulation, agent_plan
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.state import viewpoints_of
from kgctl.render.agent_plan import firewall_words as firewall_words
from kgctl.render.agent_plan import plan_as_json
from kgctl.state.manifests import Manifests
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import node_configuration

if TYPE_CHECKING:
    from kgctl.mesh.agent_plan import AgentPlan
    from kgctl.wireguard.conf import Configuration

DIRECTORY = Path(__file__).parents[1] / "golden" / "agent"
RECORDINGS = sorted(DIRECTORY.glob("*.json"))

NOW = 4102444800.0
"""The time of the recorded heartbeats, in Unix seconds."""

_PRIVATE_KEY = "PrivateKey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def options_of(case: dict[str, Any]) -> AgentOptions:
    """Return the flags of a recorded agent."""
    return AgentOptions(
        encapsulation=Encapsulation(case["encapsulate"]),
        compatibility=Compatibility(case["compatibility"]),
        local=case["local"],
        cni=case["cni"],
        forward_rules=case["iptables-forward-rules"],
        service_cidrs=tuple(map(cidr, case["service-cidr"])),
    )


def plan_of(manifest: Path, case: dict[str, Any]) -> tuple[AgentPlan, Configuration | None]:
    """Return what kgctl decides for a recorded agent, and the configuration of a leader's device.

    Raises:
        MeshError: the node takes no part.
    """
    state = state_of(Manifests([str(manifest)]).read(), topology_label=case["topology-label"])
    views = viewpoints_of(
        state,
        now=NOW,
        granularity=case["mesh-granularity"],
        subnet=cidr(case["subnet"]),
    )
    topology, node = views.from_node(case["node"]), state.node(case["node"])
    assert node is not None
    plan = agent_plan(topology, node, options_of(case))
    if not plan.leads:
        return plan, None
    assert node.endpoint is not None
    return plan, node_configuration(topology, node, listen_port=node.endpoint.port)


def planned(manifest: Path, case: dict[str, Any]) -> dict[str, Any]:
    """Return what kgctl decides for a recorded agent, in the form of the recording.

    Raises:
        MeshError: the node takes no part.
    """
    return plan_as_json(*plan_of(manifest, case), "kilo0")


def load(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the cluster of a recording, and its cases."""
    recording = json.loads(path.read_text())
    return recording["cluster"], recording["cases"]


def comparable(decided: dict[str, Any]) -> dict[str, Any]:
    """Return a decision without its flags and its private key, what has no order sorted."""
    found = {name: decided[name] for name in ("leader", "segment")}
    found["wireguard-address"] = decided.get("wireguard-address")
    found["tunnel-address"] = decided.get("tunnel-address") or ""
    found["conf"] = (decided.get("conf") or "").replace(_PRIVATE_KEY, "")
    found["iptables-append"] = decided["iptables-append"]
    for name in ("routes", "rules", "iptables-prepend"):
        found[name] = sorted(json.dumps(one, sort_keys=True) for one in decided[name])
    return found


def flags(case: dict[str, Any]) -> list[str]:
    """Return the flags of a recorded agent, in the style of Go."""
    return [
        f"--hostname={case['node']}",
        f"--mesh-granularity={case['mesh-granularity']}",
        f"--compatibility={case['compatibility']}",
        f"--encapsulate={case['encapsulate']}",
        *(
            f"--{name}={json.dumps(case[name])}"
            for name in ("local", "cni", "iptables-forward-rules")
        ),
        *(f"--service-cidr={one}" for one in case["service-cidr"]),
        f"--subnet={case['subnet']}",
        f"--topology-label={case['topology-label']}",
    ]
