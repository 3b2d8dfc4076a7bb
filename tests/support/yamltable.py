"""Unquoted YAML scalars, and their values in Kubernetes.

The values are those of kubectl 1.32; tests/api/test_yaml.py checks them on the API server.
"""

from __future__ import annotations

import json
from typing import Any, Final

_VALUES = """
true  y Y yes Yes YES on On ON true True TRUE
false n N no No NO off Off OFF false False FALSE
null  ~ null Null NULL
0     0 00 -0 +0 0. 0.0 -0.0 0e0 0x0 0_0 0_ 1e-400 .1e-400
1     1 +1 1_ 0b1 0B1 0b_1 0b+1
-1    -1 0b-1
3     0b11 +0b11
-3    -0b11
7     0o7 0O7 0_7 07
-7    -0o7
8     08 +010
-8    -010
10    1__0 1e1 012
25    25.0 0o31
31    0x1F 0X1f +0x1F 0x_1F 0x1_F
-31   -0x1F
83    0123
128   0128
1000  1e3 1E3 1e+3 1_000 1__e3 1.0e3
12000 12e03 012e3
90    09e1
5     5. 5e0
5000  5.e3
1.5   1.5 1.50
0.5   .5 +.5 .5_0
9.5   09.5
-5e-4 -.5e-3
1000.5 1_000.5
1e-7  1e-7
100000000000         1_0e1_0
123456789012345678   123456789012345678
-9223372036854775808 -9223372036854775808
9223372036854775808.0  9223372036854775808 0x8000000000000000
-9223372036854775808.0 -9223372036854775809
18446744073709551616.0 18446744073709551615
1e20      99999999999999999999 1e20
-1e20     -99999999999999999999
1e21      1e21
1777777777777777777777777.0 01777777777777777777777777
Infinity  .inf .Inf .INF +.inf +.Inf +.INF
-Infinity -.inf -.Inf -.INF
"""

VALUES: Final[dict[str, Any]] = {
    word: json.loads(line.split()[0])
    for line in _VALUES.strip().split("\n")
    for word in line.split()[1:]
}
"""Scalars with another value than their text, as decoded JSON."""

_TEXTS = """
yEs oFF tRue nuLL .iNF infinity Infinity inf +inf nan NaN -.nan +.nan
= << . .. + +-1 _1 .e3 ._5 .5_ .5__0 1e 1e+ e3 0e 1f 1d3 1,000 \u0661 \uff11
0x 0xg 0x_ 0b 0b_ 0b12 0o8 00x1 0x1p-2 8fa1c0ff
1e400 -1e400 .5e400 +0x8000000000000000 -0xFFFFFFFFFFFFFFFFFF
1:30 1:0 1:60 +1:30 -1:30 190:20:30 190:20:30.15 1_:30 12:30:45
2026-11-27 2026-1-2 2026-99-99 2026-11-27T10:00:00Z 2001-12-14t21:59:43.10-05:00
1.2.3 10.0.0.1 10.0.0.0/24 fd00::1
"""

TEXTS: Final = tuple(_TEXTS.split())
"""Scalars that are text, although they look like other values, or are others elsewhere."""

_KEYS = """
true y
false Off
10 012
31 0x1F
1000 1e3 1_000
1.5 1.50
25 25.0
1e-07 1e-7
100000 1e5
1e+06 1000000.0
1e+21 1e21
1.2345679e+08 123456789.25
1.6777216e+07 16777217.0
-0 -0.0
.inf .inf
-.inf -.inf
2026-11-27 2026-11-27
1:30 1:30
= =
name name
"""

KEYS: Final = {
    word: line.split()[0] for line in _KEYS.strip().split("\n") for word in line.split()[1:]
}
"""Keys of mappings, which are always text, and their resulting text."""

NO_KEYS: Final = ("~", "null", "18446744073709551615")
"""Keys that Kubernetes refuses."""
