"""Fast paths: modules that exist only for speed, each next to a library that does the same.

| here | the library | saves |
|---|---|---|
| ``lean``, ``http1`` | the ``kubernetes`` package | 0.2 s of imports |
| ``protobuf``, ``wire`` | msgspec, on the JSON of the same objects | half of the time of a list |
| ``plain_yaml`` | PyYAML, on kubeconfigs | 15 ms of imports |
| ``yaml_objects`` | PyYAML's loader, on manifests | two thirds of the time, and memory |
| ``json_list`` | msgspec without types, on manifests | two thirds of the time |

Other fast paths are the plain calls and the head start of ``kgctl.cli``, and the quick exit of the
program. With ``KGCTL_SLOW=1`` in the environment, kgctl uses only the libraries. All results are
the same: tests compare both ways.
"""

from __future__ import annotations

import os


def fast_lane() -> bool:
    """Return whether fast paths may be used; ``KGCTL_SLOW`` disables them, unless it is 0."""
    return os.environ.get("KGCTL_SLOW", "0") in ("", "0")
