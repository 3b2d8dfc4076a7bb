"""``kgctl connect``: this host joins the network, and stays on it."""

from kgctl.cli.connect.command import app

__all__ = ["app"]
