"""Objects of an API server, as far as they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.platform import NO_PLATFORM, Platform

if TYPE_CHECKING:
    from collections.abc import Mapping


Advance = Callable[[int, int], None]
"""Is told now and then how much is done, and of how much, in any unit."""


class NodeObject(NamedTuple):
    """Name, pod network, labels and annotations of a Kubernetes Node object, and its platform.

    They are as the cluster holds them: nothing is parsed, nothing is trusted yet. ``platform`` is
    read where it is asked for.
    """

    name: str
    pod_cidr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    platform: Platform = NO_PLATFORM
