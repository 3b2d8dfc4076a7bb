"""Metrics in Prometheus' text format, and those of an agent.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4). An agent
writes it itself: ``prometheus_client`` would take 4 MB of every node's memory, and is not needed by
any other command but ``kgctl serve``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kgctl.agent.interface import Figures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

EVENTS = ("apply", "checkin", "cleanUp", "local", "run")
"""The reference's events of errors."""

Sample = tuple["Mapping[str, str]", float]


def family(name: str, kind: str, help_: str, samples: Iterable[Sample]) -> Iterator[str]:
    """Yield the lines of a metric of ``kind`` gauge or counter: its samples, each with labels.

    Labels may have any text: they are escaped, and so never end a line.
    """
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{f'{{{inner}}}' if inner else ''} {_number(value)}"


def _escaped(text: str) -> str:
    return printable(text, 300).replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def single(name: str, kind: str, help_: str, value: float) -> Iterator[str]:
    """Yield the lines of a metric with one sample."""
    return family(name, kind, help_, [({}, value)])


def text(lines: Iterable[str]) -> bytes:
    """Return lines as the content of an answer."""
    return "".join(f"{line}\n" for line in lines).encode()


def agent_metrics(figures: Figures, version: str, now: float) -> bytes:
    """Return the metrics of an agent; ages are counted to ``now``, in Unix seconds.

    Those with the prefix ``kilo_`` are the reference's.
    """
    return text(_lines(figures, version, now))


def _lines(figures: Figures, version: str, now: float) -> Iterator[str]:
    errors = dict.fromkeys(EVENTS, 0) | dict(figures.errors)
    yield from family(
        "kilo_errors_total", "counter", "Errors, by event.",
        [({"event": event}, count) for event, count in errors.items()],
    )  # fmt: skip
    yield from single("kilo_leader", "gauge", "1 if the node leads.", figures.leads)
    yield from single("kilo_nodes", "gauge", "Nodes that take part.", figures.nodes)
    yield from single("kilo_peers", "gauge", "Peers that take part.", figures.peers)
    yield from single("kilo_reconciles_total", "counter", "Rounds begun.", figures.reconciles)
    labels = ("protocol", "operation", "table", "chain")
    yield from family(
        "kilo_iptables_operations_total", "counter", "Operations on the firewall.",
        [
            (dict(zip(labels, key, strict=True)), count)
            for key, count in sorted(figures.firewall_operations.items())
        ],
    )  # fmt: skip
    last, total = figures.reconcile_seconds
    yield from single("kgctl_ready", "gauge", "1 if the node takes part.", figures.ready)
    yield from single("kgctl_last_reconcile_seconds", "gauge", "Length of the last round.", last)
    yield from single("kgctl_reconcile_seconds_total", "counter", "Length of all rounds.", total)
    yield from family(
        "kgctl_refused_claims", "gauge", "Networks that are refused to a node or peer.",
        [
            ({"claimer": claimer, "reason": reason}, count)
            for (claimer, reason), count in sorted(figures.refusals.items())
        ],
    )  # fmt: skip
    yield from _of_peers(figures, now)
    yield from family(
        "kgctl_build_info", "gauge", "The version of kgctl.", [({"version": version}, 1)]
    )


def _of_peers(figures: Figures, now: float) -> Iterator[str]:
    peers = () if figures.device is None else figures.device.peers.values()
    named = []
    for one in peers:
        key = str(one.public_key)
        named.append(({"peer": figures.names.get(key, ""), "public_key": key}, one))
    named.sort(key=lambda one: (one[0]["peer"], one[0]["public_key"]))
    yield from family(
        "kgctl_peer_handshake_age_seconds", "gauge", "Age of the last handshake, if there was one.",
        [
            (labels, max(0.0, now - one.last_handshake))
            for labels, one in named
            if one.last_handshake
        ],
    )  # fmt: skip
    yield from family(
        "kgctl_peer_received_bytes_total", "counter", "Bytes received from a peer.",
        [(labels, one.received) for labels, one in named],
    )  # fmt: skip
    yield from family(
        "kgctl_peer_sent_bytes_total", "counter", "Bytes sent to a peer.",
        [(labels, one.sent) for labels, one in named],
    )  # fmt: skip
