"""The metrics of an agent, read by Prometheus' own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kgctl.agent.interface import Figures
from kgctl.agent.metrics import agent_metrics, family, text
from kgctl.mesh.key import PublicKey
from kgctl.mesh.text import printable
from kgctl.wireguard.device import DevicePeer, DeviceState

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST, SECOND = PublicKey(bytes(range(32))), PublicKey(bytes(range(1, 33)))


def samples(content: bytes) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for one in text_string_to_metric_families(content.decode())
        for sample in one.samples
    }


def test_the_reference_names_are_there() -> None:
    figures = Figures(
        ready=True, leads=True, nodes=3, peers=2, reconciles=7, reconcile_seconds=(0.25, 3.5),
        errors={"apply": 2},
        firewall_operations={("IPv4", "List", "nat", "KILO-NAT"): 5},
        refusals={("node edge", "is public"): 4},
    )  # fmt: skip
    found = samples(agent_metrics(figures, "1.2.3", 1000.0))
    assert found["kilo_errors_total", "apply"] == 2
    assert found["kilo_errors_total", "checkin"] == 0
    assert {key[1] for key in found if key[0] == "kilo_errors_total"} == {
        "run", "apply", "checkin", "local", "cleanUp",
    }  # fmt: skip
    assert found["kilo_leader",] == 1
    assert found["kilo_nodes",] == 3
    assert found["kilo_peers",] == 2
    assert found["kilo_reconciles_total",] == 7
    assert found["kilo_iptables_operations_total", "IPv4", "List", "nat", "KILO-NAT"] == 5
    assert found["kgctl_ready",] == 1
    assert found["kgctl_last_reconcile_seconds",] == 0.25
    assert found["kgctl_reconcile_seconds_total",] == 3.5
    assert found["kgctl_refused_claims", "node edge", "is public"] == 4
    assert found["kgctl_build_info", "1.2.3"] == 1


def test_peers_have_their_names_and_no_age_before_a_handshake() -> None:
    peers = {
        FIRST: DevicePeer(public_key=FIRST, last_handshake=900.0, received=10, sent=20),
        SECOND: DevicePeer(public_key=SECOND),
    }
    figures = Figures(device=DeviceState(peers=peers), names={str(FIRST): "office"})
    found = samples(agent_metrics(figures, "1", 1000.0))
    assert found["kgctl_peer_handshake_age_seconds", "office", str(FIRST)] == 100
    assert found["kgctl_peer_received_bytes_total", "office", str(FIRST)] == 10
    assert found["kgctl_peer_sent_bytes_total", "office", str(FIRST)] == 20
    assert found["kgctl_peer_sent_bytes_total", "", str(SECOND)] == 0
    assert ("kgctl_peer_handshake_age_seconds", "", str(SECOND)) not in found


def test_of_a_new_agent_there_is_nothing_but_zeros() -> None:
    found = samples(agent_metrics(Figures(), "1", 0.0))
    assert {value for key, value in found.items() if key[0] != "kgctl_build_info"} == {0}


@given(st.dictionaries(st.sampled_from("abc"), st.text(), max_size=3), st.floats(0, 1e15))
def test_any_label_stays_in_its_line(labels: Mapping[str, str], value: float) -> None:
    content = text(family("m", "gauge", "A metric.", [(labels, value)]))
    assert len(content.decode().splitlines()) == 3
    (found,) = text_string_to_metric_families(content.decode())
    ((_, given_labels, given_value, *_),) = found.samples
    assert given_labels == {key: printable(one, 300) for key, one in labels.items()}
    assert given_value == value
