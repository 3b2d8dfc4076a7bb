"""The key of two clusters is the same in both, wherever a writer was interrupted."""

from __future__ import annotations

import base64
import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.link.keys import SecretError, abandoned, key_in, secret_name, settled
from kgctl.link.steps import ADD, CHANGE, REMOVE, SAME, STALE
from kgctl.mesh.key import PresharedKey

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = st.lists(st.tuples(st.sampled_from(["run", "rotate", "lose eu", "lose us"]),
                          st.integers(0, 2)), max_size=6)  # fmt: skip


def keys() -> Iterator[PresharedKey]:
    for number in range(1, 100):
        yield PresharedKey(bytes([number]) * 32)


class Clusters:
    """Two clusters, and one who links them and can be stopped after so many writes."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any] | None] = {"us": None, "eu": None}
        self._keys = keys()
        self._version = 0

    def run(self, writes: int = 2, *, rotate: bool = False) -> PresharedKey:
        present = copy.deepcopy(self.secrets)
        found = settled("kilo", present, lambda: next(self._keys), rotate=rotate)
        steps = [(name, found.steps[name]) for name in sorted(found.steps)]
        for name, step in [one for one in steps if one[1].action != SAME][:writes]:
            assert step.wanted is not None
            now = self.secrets[name]
            version = now and now["metadata"]["resourceVersion"]
            assert step.wanted["metadata"].get("resourceVersion") == version
            self._version += 1
            stored = copy.deepcopy(step.wanted)
            stored["metadata"]["resourceVersion"] = str(self._version)
            self.secrets[name] = stored
        return found.key

    def held(self) -> list[PresharedKey]:
        return [
            key_in(one, "presharedKey", "it") for one in self.secrets.values() if one is not None
        ]


@given(RUNS)
def test_whatever_came_before_one_whole_run_settles_it(runs: list[tuple[str, int]]) -> None:
    clusters = Clusters()
    for what, writes in runs:
        if what.startswith("lose"):
            clusters.secrets[what[5:]] = None
        else:
            clusters.run(writes, rotate=what == "rotate")
    known = clusters.held()
    key = clusters.run()
    assert clusters.held() == [key, key]
    assert key in known or not known
    assert clusters.run(0) == key
    again = settled("kilo", clusters.secrets, lambda: PresharedKey(b"new" + bytes(29)))
    assert {step.action for step in again.steps.values()} == {SAME}


@given(RUNS, st.integers(1, 2))
def test_a_rotation_that_was_begun_is_finished(runs: list[tuple[str, int]], writes: int) -> None:
    clusters = Clusters()
    clusters.run()
    before = clusters.held()[0]
    for what, count in runs:
        if what == "run":
            clusters.run(count)
    made = clusters.run(writes, rotate=True)
    assert made != before
    assert clusters.run() == made


def test_a_key_shows_in_the_data_alone() -> None:
    found = settled("kilo", {"eu": None, "us": None}, lambda: PresharedKey(b"x" * 32))
    step = found.steps["eu"]
    assert (step.action, step.name, step.namespace) == (ADD, "kgctl-link-us", "kilo")
    assert step.wanted is not None
    text = base64.b64encode(b"x" * 32).decode()
    assert step.wanted.pop("data") == {"presharedKey": base64.b64encode(text.encode()).decode()}
    assert text not in repr(found._replace(steps={}))
    changed = settled(
        "kilo",
        {"eu": {**step.wanted, "metadata": {**step.wanted["metadata"], "resourceVersion": "1"},
                "data": {"presharedKey": base64.b64encode(text.encode()).decode()}}, "us": None},
        lambda: PresharedKey(b"y" * 32), rotate=True,
    )  # fmt: skip
    assert (changed.steps["eu"].action, changed.steps["eu"].fields) == (CHANGE, ("presharedKey",))


@pytest.mark.parametrize("data", [None, {}, {"k": 3}, {"k": "?"}, {"k": "AAAA"}, {"k": "/w=="}])
def test_what_is_no_key_is_refused_without_being_shown(data: object) -> None:
    with pytest.raises(SecretError) as raised:
        key_in({"data": data}, "k", "the secret a/b of c")
    assert str(raised.value).startswith("the secret a/b of c holds no WireGuard preshared key")
    assert "/w==" not in str(raised.value)


def test_what_somebody_else_made_is_left_alone() -> None:
    foreign = {"metadata": {"name": secret_name("us"), "resourceVersion": "1"}}
    with pytest.raises(SecretError, match="kgctl link did not make it"):
        settled("kilo", {"eu": foreign, "us": None}, lambda: PresharedKey(b"x" * 32))
    assert abandoned(foreign, prune=True) is None
    ours = settled("n", {"eu": None, "us": None}, lambda: PresharedKey(b"x" * 32)).steps["eu"]
    assert ours.wanted is not None
    kept, removed = (abandoned(ours.wanted, prune=prune) for prune in (False, True))
    assert kept is not None
    assert removed is not None
    assert (kept.action, removed.action, removed.namespace) == (STALE, REMOVE, "n")
