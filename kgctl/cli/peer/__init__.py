"""``kgctl peer``: the machines outside the cluster, added, changed, checked and removed."""

from kgctl.cli.peer.commands import app

__all__ = ["app"]
