"""Addresses for new peers: the first that is free, and never one that is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.cluster.objects import state_of
from kgctl.mesh.allocation import (
    Claim,
    PoolExhaustedError,
    claims_of,
    clash,
    first_free,
    learned_pool,
)
from kgctl.mesh.cidr import Cidr, parse_cidr
from tests.strategies import clusters

NOW = 1_800_000_000.0


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


small = st.tuples(st.integers(0, 255), st.integers(22, 32)).map(
    lambda pair: _cidr(f"10.5.0.{pair[0]}/{pair[1]}").masked()
)


@given(st.lists(small, max_size=12), st.integers(24, 32), st.integers(0, 3))
def test_it_is_what_trying_each_address_finds(taken: list[Cidr], prefix: int, skip: int) -> None:
    pool, claims = _cidr(f"10.5.0.0/{prefix}"), [Claim(one, "x") for one in taken]
    size = 1 << pool.host_bits
    usable = range(1, size - 1) if size > 2 else range(size)
    free = [
        n for n in usable if not any(c.contains(_cidr(f"10.5.0.{n}/32").address) for c in taken)
    ]
    if len(free) > skip:
        found = first_free(pool, claims, skip=skip)
        assert str(found) == f"10.5.0.{free[skip]}/32"
        assert clash(found, claims) is None
    else:
        with pytest.raises(PoolExhaustedError, match=f"10.5.0.0/{prefix}"):
            first_free(pool, claims, skip=skip)


@given(clusters())
def test_it_never_overlaps_anything_of_the_cluster(objects) -> None:  # type: ignore[no-untyped-def]
    state = state_of(objects)
    claims = list(claims_of(state, [_cidr("10.43.0.0/16")]))
    try:
        found = first_free(learned_pool(state), claims)
    except PoolExhaustedError:
        return
    assert clash(found, claims) is None


def test_the_pool_is_learned_from_the_peers() -> None:
    def peers(*addresses: str) -> Cidr:
        from kgctl.mesh.key import PublicKey
        from kgctl.mesh.peer import Peer
        from kgctl.mesh.state import State

        key = PublicKey(b"x" * 32)
        return learned_pool(
            State((), tuple(Peer(str(n), (_cidr(a),), key) for n, a in enumerate(addresses)))
        )

    assert str(peers()) == "10.5.0.0/24"
    assert str(peers("192.168.0.0/24")) == "10.5.0.0/24"
    assert str(peers("10.9.1.1/32", "10.9.2.1/32", "10.9.2.7/32")) == "10.9.2.0/24"
    assert str(peers("10.9.2.1/32", "10.9.1.1/32", "fd00::1/128")) == "10.9.1.0/24"


def test_large_pools_are_no_work() -> None:
    assert str(first_free(_cidr("fd00::/64"), [])) == "fd00::1/128"
    everything = [Claim(_cidr("fd00::/65"), "x")]
    assert str(first_free(_cidr("fd00::/64"), everything)) == "fd00::8000:0:0:0/128"
