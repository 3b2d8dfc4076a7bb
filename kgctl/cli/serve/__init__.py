"""``kgctl serve``: the page of the network, live, and metrics of it."""

from kgctl.cli.serve.command import app

__all__ = ["app"]
