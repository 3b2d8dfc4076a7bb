"""What a machine of the cluster runs on, as its Node object says; Kilo does not read it."""

from __future__ import annotations

from typing import NamedTuple


class Platform(NamedTuple):
    """What a Node's ``spec`` holds besides its first pod CIDR: untrusted text.

    ``pod_cidrs`` is the whole list, of which ``podCIDR`` is the first; ``provider_id`` begins with
    the name of a cloud; ``taints`` are keys.
    """

    pod_cidrs: tuple[str, ...] = ()
    provider_id: str = ""
    taints: tuple[str, ...] = ()


NO_PLATFORM = Platform()
