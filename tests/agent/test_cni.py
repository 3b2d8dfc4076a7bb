"""The CNI configuration of a node."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.agent.cni import CniResult, manage_cni, with_pods
from kgctl.mesh.cidr import Cidr, parse_cidr

if TYPE_CHECKING:
    from pathlib import Path

KILO = """{
  "cniVersion": "0.4.0",
  "name": "kilo",
  "plugins": [
    {
      "name": "kubernetes",
      "type": "bridge",
      "bridge": "kube-bridge",
      "ipam": {
        "type": "host-local"
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


PODS = cidr("10.42.1.0/24")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "10-kilo.conflist"
    found.write_text(KILO)
    found.chmod(0o644)
    return found


def test_the_range_is_put_into_the_file_and_the_rest_stays(file: Path) -> None:
    assert manage_cni(file, PODS) == CniResult(changed=True)
    inserted = '"ipam": {"ranges": [[{"subnet": "10.42.1.0/24"}]], \n        "type": "host-local"'
    assert file.read_text() == KILO.replace('"ipam": {\n        "type": "host-local"', inserted)
    assert file.stat().st_mode & 0o777 == 0o644
    assert manage_cni(file, PODS) == CniResult()


@pytest.mark.parametrize("pods", ["10.42.1.0/24", "10.42.1.7/24", "fd00:1::/64"])
def test_another_range_is_exchanged(file: Path, pods: str) -> None:
    manage_cni(file, cidr("10.42.0.0/24"))
    before = file.read_text()
    assert manage_cni(file, cidr(pods)).changed
    masked = str(cidr(pods).masked())
    assert file.read_text() == before.replace("10.42.0.0/24", masked)


def test_a_first_range_that_is_right_keeps_what_is_beside_it() -> None:
    first = {"subnet": "10.42.1.9/24", "gateway": "10.42.1.1"}
    ranges = [[first], [{"subnet": "fd00::/64"}]]
    text = json.dumps({"plugins": [{"ipam": {"ranges": ranges}}]})
    assert with_pods(text, PODS) == text


@pytest.mark.parametrize("content", ["", "{", "[", "nul", "\x00", "﻿{}", '{"a": NaN}', "[" * 99999])
def test_what_is_not_json_stays_as_it_is(file: Path, content: str) -> None:
    file.write_text(content)
    found = manage_cni(file, PODS)
    assert not found.changed
    assert found.finding.endswith("is not JSON; it stays as it is")
    assert file.read_text() == content


@pytest.mark.parametrize(
    "content",
    ["null", "7", "[]", "{}", '{"plugins": 1}', '{"plugins": [7, {"ipam": "x"}]}', '{"ipam": {}}'],
)
def test_a_file_without_ipam_is_a_finding(file: Path, content: str) -> None:
    file.write_text(content)
    assert manage_cni(file, PODS).finding.endswith("has no plugin with an ipam; it stays as it is")
    assert file.read_text() == content


def test_files_that_cannot_be_used_are_findings(file: Path, tmp_path: Path) -> None:
    assert "does not exist" in manage_cni(tmp_path / "none", PODS).finding
    assert "cannot read" in manage_cni(tmp_path, PODS).finding
    assert "cannot read" in manage_cni(file / "below", PODS).finding
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in manage_cni(tmp_path / "pipe", PODS).finding
    file.write_text(" " * (1 << 20) + KILO)
    assert "is larger than 1048576 bytes" in manage_cni(file, PODS).finding
    assert "x\\ny" in manage_cni(tmp_path / "x\ny", PODS).finding


def test_a_link_of_this_user_is_followed_and_stays(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert manage_cni(link, PODS).changed
    assert link.is_symlink()
    assert "10.42.1.0/24" in file.read_text()


@pytest.mark.needs("root")
def test_a_link_of_another_user_is_not_followed(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    os.lchown(link, 65534, 65534)
    assert "cannot read" in manage_cni(link, PODS).finding
    assert file.read_text() == KILO


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
ipams = st.dictionaries(st.sampled_from(["type", "ranges", "routes", "ipam"]), values, max_size=4)
plugins = st.dictionaries(
    st.sampled_from(["type", "ipam", "ranges", "plugins", "x\n\u2028"]), values | ipams, max_size=4
)
files = st.dictionaries(
    st.sampled_from(["plugins", "name", "ipam"]), values | st.lists(plugins | values, max_size=3)
)


@given(files, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_any_file_keeps_all_but_the_ranges(
    content: dict[str, Any], indent: int | str | None, escaped: bool
) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=escaped)
    found = with_pods(text, PODS)
    wanted = copy.deepcopy(content)
    plugins = wanted.get("plugins")
    some = [
        one["ipam"]
        for one in (plugins if isinstance(plugins, list) else ())
        if isinstance(one, dict) and isinstance(one.get("ipam"), dict)
    ]
    assert (found is None) == (not some)
    if found is None:
        return
    for one in some:
        one["ranges"] = [[{"subnet": "10.42.1.0/24"}]]
    assert json.loads(found) == wanted
    assert with_pods(found, PODS) == found
    assert order(json.loads(found)) == order(content)


def order(value: object) -> object:
    """Return the names of all members in their order, without the ranges."""
    if isinstance(value, dict):
        return [(name, order(one)) for name, one in value.items() if name != "ranges"]
    return [order(one) for one in value] if isinstance(value, list) else None
