"""A network in numbers, in Prometheus' text format; docs/serve.md lists them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import GaugeMetricFamily

    from kgctl.cli.serve.live import Seen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(seen: Seen, present: float) -> bytes:
    """Return the numbers of what was seen; ages are counted to ``present``, in Unix seconds."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(seen, present))
    return generate_latest(registry)


class _Collector:
    """Hands the numbers to ``prometheus_client``, which writes and escapes them."""

    def __init__(self, seen: Seen, present: float) -> None:
        self._seen = seen
        self._present = present

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every metric."""
        from prometheus_client.core import GaugeMetricFamily as Gauge

        state, now = self._seen.examined.subject.state, self._seen.examined.now
        peers = len(state.peers) + len(state.invalid_peers)
        ready_peers = sum(peer.is_ready for peer in state.peers)
        yield Gauge("kilo_nodes", "Nodes of the cluster.", len(state.nodes))
        yield Gauge("kilo_nodes_ready", "Nodes that take part.", len(state.ready_nodes(now)))
        yield Gauge("kilo_peers", "Peers, valid or not.", peers)
        yield Gauge("kilo_peers_ready", "Peers that take part.", ready_peers)
        heard = self._seen.heard
        yield Gauge("kilo_read_timestamp_seconds", "When the cluster was last heard of.", heard)
        yield Gauge("kilo_reachable", "0 while it cannot be read.", not self._seen.trouble)
        ready = Gauge("kilo_node_ready", "1 if the node takes part, else 0.", labels=["node"])
        age = Gauge(
            "kilo_node_heartbeat_age_seconds", "Age of the last heartbeat.", labels=["node"]
        )
        for node in state.nodes:
            name = [printable(node.name, 300)]
            ready.add_metric(name, float(node.is_ready(now)))
            if node.last_seen:
                age.add_metric(name, max(0.0, self._present - node.last_seen))
        yield ready
        yield age
        yield self._findings()

    def _findings(self) -> GaugeMetricFamily:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        from kgctl.diagnosis.check import RULES
        from kgctl.diagnosis.report import examine
        from kgctl.diagnosis.subject import Settings

        seen = self._seen.examined
        report = examine(seen.subject, Settings(seen.now, seen.granularity))
        counts = Counter(finding.code for finding in report.findings)
        labels = ["code", "severity"]
        gauge = Gauge("kilo_findings", "Findings of kgctl check by rule.", labels=labels)
        for rule in RULES:
            gauge.add_metric([rule.code, rule.severity], counts[rule.code])
        return gauge
