"""What exists for speed alone, each part beside a library that does the same.

| here | the library | what it saves |
|---|---|---|
| ``lean``, ``http1`` | the ``kubernetes`` package | 0.2 s of imports |
| ``protobuf``, ``wire`` | msgspec, on the JSON of the same objects | half of the time of a list |
| ``plain_yaml`` | PyYAML, on kubeconfigs | 15 ms of imports |
| ``yaml_objects`` | PyYAML's loader, on manifests | two thirds of the time, and memory |
| ``json_list`` | msgspec without types, on manifests | two thirds of the time |

So are the plain calls and the head start of ``kgctl.cli``, and the quick end of the program. With
``KGCTL_SLOW=1`` in the environment everything goes through the libraries, and all answers are the
same: tests hold both ways against each other.
"""

from __future__ import annotations

import os


def fast_lane() -> bool:
    """Return whether what is here may be used; ``KGCTL_SLOW`` turns it off, but for 0."""
    return os.environ.get("KGCTL_SLOW", "0") in ("", "0")
