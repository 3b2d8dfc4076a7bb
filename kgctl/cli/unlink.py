"""``kgctl unlink CLUSTER...``: the links between clusters, taken away again."""

from kgctl.cli.link.command import unlink_app as app

__all__ = ["app"]
