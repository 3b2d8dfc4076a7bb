"""``kgctl agent webhook``: serve the admission webhook until a signal arrives."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from kgctl.agent.certificates import ServerCertificate
from kgctl.agent.http_server import HttpServer
from kgctl.agent.webhook import BODY_BYTES, CONNECTIONS, Webhook
from kgctl.cli.core.output import note

if TYPE_CHECKING:
    from pathlib import Path


def serve_webhook(
    certificate: Path, key: Path, listen: tuple[str, int], metrics: tuple[str, int]
) -> None:
    """Serve reviews by HTTPS on ``listen``, and metrics by HTTP on ``metrics``.

    Raises:
        HostError: the certificate cannot be used, or it cannot listen there.
    """
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: over.set())
    webhook = Webhook(note)
    held = ServerCertificate(certificate, key, note)
    with (
        HttpServer(
            webhook.answer, listen, body_limit=BODY_BYTES, connections=CONNECTIONS,
            tls=held.context, failed=webhook.failed,
        ) as reviews,
        HttpServer(webhook.metrics, metrics, failed=webhook.failed) as figures,
    ):  # fmt: skip
        note(f"serving /validate on port {reviews.port}, and /metrics on port {figures.port}")
        over.wait()
