"""``kgctl serve``: serve a live page of the network, and metrics."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError, listen_address
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from types import FrameType

    from kgctl.cli.commands.serve_web import Application


app = typer.Typer(add_completion=False, rich_markup_mode=None)

LOOPBACK = "127.0.0.1"


class ServerError(KgctlError):
    """The server cannot be started; the message has the reason."""


@app.command()
@with_shared
def serve(
    shared: Shared,
    metrics_only: Annotated[
        bool,
        typer.Option("--metrics-only", help="Serve only /metrics for Prometheus, and no page."),
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS:PORT",
            help="With --metrics-only: the address to listen on. Default: 127.0.0.1 and any port.",
        ),
    ] = None,
    interval: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="The interval at which to read files, or a cluster that does not allow watching.",
        ),
    ] = 10,
) -> None:
    """Serve a live view of the network for a browser, and metrics for Prometheus.

    Prints the secret address of the page, which is reachable only from this machine.
    """
    if listen is not None and not metrics_only:
        raise UsageError("--listen needs --metrics-only; the page is only for this machine")
    host, port = (LOOPBACK, 0) if listen is None else listen_address("--listen", listen)
    host = host or "0.0.0.0"  # noqa: S104 - the meaning of an empty host
    _require_packages()
    from secrets import token_urlsafe

    from kgctl.cli.commands.serve_live import live_network
    from kgctl.cli.commands.serve_web import Application

    network = live_network(shared, interval)
    token = None if metrics_only else token_urlsafe(24)
    _run(Application(network, token), host, port)


def _require_packages() -> None:
    try:
        import prometheus_client  # noqa: F401
        import waitress  # noqa: F401
    except ImportError as error:
        raise ServerError(
            f"kgctl serve needs the package {error.name}; install its packages with: pip install "
            "prometheus-client waitress"
        ) from None


def _run(application: Application, host: str, port: int) -> None:
    """Serve until a signal arrives."""
    from kgctl.cli.commands.serve_web import listening, own_hosts

    try:
        server = listening(application, host, port)
    except (OSError, ValueError) as error:
        raise ServerError(
            f"cannot listen on {printable(host)}, port {port}: {printable(str(error))}"
        ) from None
    port = getattr(server, "effective_port", port)
    application.hosts = own_hosts(host, port)
    shown = f"[{host}]" if ":" in host else host
    path = "metrics" if application.token is None else f"{application.token}/"
    answer(f"http://{shown}:{port}/{path}\n")
    note("read-only; press Ctrl-C to stop")
    signal.signal(signal.SIGTERM, _end)
    server.run()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
