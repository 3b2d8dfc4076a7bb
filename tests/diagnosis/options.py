"""Options of the cases of rules, besides the time."""

from __future__ import annotations

CHECKED_WITH = {"KG210": ("--service-cidr", "10.43.0.0/16")}
"""By rule; no Node tells which the service network is."""
