"""``kgctl link`` and ``kgctl unlink``."""

from kgctl.cli.link.command import app as app
