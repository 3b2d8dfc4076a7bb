"""Changes of YAML text keep everything that they are not about."""

from __future__ import annotations

import string
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kgctl.kube.codec.structured import to_yaml
from kgctl.kube.codec.yaml_loader import BoundedLoader
from kgctl.state.yaml_edit import edited

PEER = """\
# the laptop of Alice
apiVersion: kilo.squat.ai/v1alpha1
kind: Peer
metadata:
  name: alice   # as in the directory
spec:
  # addresses
  allowedIPs:
    - 10.0.0.2/32  # IPv4
    # the network at home
    - 192.168.1.0/24
    - "fd00::2/128"

  publicKey: 'abc'  # of 2025
  # keep this low
  persistentKeepalive: 25
  endpoint: {dnsOrIP: {dns: alice.example.com}, port: 51820}
"""


def read(text: str) -> Any:
    return yaml.load(text, Loader=BoundedLoader)


def change(text: str, after: Any) -> str:
    node = yaml.compose(text, Loader=BoundedLoader)
    found = edited(text, node, read(text), after)
    assert read(found) == after
    return found


def spec(**fields: Any) -> Any:
    value = read(PEER)
    value["spec"] = {
        key: one for key, one in {**value["spec"], **fields}.items() if one is not None
    }
    return value


@pytest.mark.parametrize(
    ("fields", "old", "new"),
    [
        ({"publicKey": "xyz"}, "'abc'", "xyz"),
        ({"persistentKeepalive": 0}, ": 25", ": 0"),
        ({"persistentKeepalive": None}, "  persistentKeepalive: 25\n", ""),
        ({"allowedIPs": ["10.0.0.2/32", "fd00::2/128"]}, "    - 192.168.1.0/24\n", ""),
        (
            {"allowedIPs": ["10.0.0.2/32", "192.168.1.0/24", "fd00::2/128", "10.9.0.0/24"]},
            '"fd00::2/128"\n',
            '"fd00::2/128"\n    - 10.9.0.0/24\n',
        ),
        ({"presharedKey": "k"}, "port: 51820}\n", "port: 51820}\n  presharedKey: k\n"),
        ({"endpoint": None}, "  endpoint: {dnsOrIP: {dns: alice.example.com}, port: 51820}\n", ""),
    ],
)
def test_only_what_changes_is_changed(fields: Any, old: str, new: str) -> None:
    assert change(PEER, spec(**fields)) == PEER.replace(old, new)


def test_line_endings_and_a_missing_last_line_break_survive() -> None:
    text = PEER.replace("\n", "\r\n").rstrip("\r\n")
    assert change(text, spec(presharedKey="k")) == text + "\r\n  presharedKey: k"


NAMES = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.one_of(
    st.integers(-5, 70000),
    st.booleans(),
    st.none(),
    st.text(string.ascii_letters + " :#-'\"\n{}[]é☃", max_size=12),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(NAMES, VALUES, max_size=4)


@given(MAPPINGS.filter(bool), MAPPINGS, st.booleans())
def test_any_mapping_becomes_any_other(before: Any, after: Any, last_break: bool) -> None:
    text = to_yaml(before)
    change(text if last_break else text.rstrip("\n"), after)


NUMBERS = st.dictionaries(NAMES, st.integers(0, 9), min_size=1)


@given(NUMBERS, NUMBERS)
def test_comments_on_lines_of_their_own_survive(before: Any, after: Any) -> None:
    text = "".join(f"# over {name}\n{name}: {value}\n" for name, value in before.items())
    found = change(text, after)
    assert [line for line in found.splitlines() if line.startswith("#")] == [
        f"# over {name}" for name in before
    ]
