"""Look-up of intersecting networks, compared with a search of all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kgctl.diagnosis.containment import Lookup, Used, nested
from kgctl.mesh.cidr import Cidr, parse_cidr
from tests.support.strategies import networks


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


close = st.sampled_from(["10.0.0.0/8", "10.0.0.7/8", "10.0.0.0/24", "10.0.0.7/24", "10.0.0.7/32"])
some = (close | networks).map(cidr)
used = st.lists(st.builds(Used, some, st.just("u"), st.just("k"), st.sampled_from("abc")))


@given(used, some, st.sampled_from("abcd"))
def test_a_network_is_found_exactly_where_one_of_another_owner_intersects(
    all_used: list[Used], asked: Cidr, beside: str
) -> None:
    lookup = Lookup(all_used)
    others = [one for one in all_used if one.name != beside]
    touching = [one for one in others if one.network.intersects(asked)]
    around = [one for one in others if one.network.contains(asked.address)]
    for found, naive in (
        (lookup.touching(asked, beside=beside), touching),
        (lookup.around(asked, beside=beside), around),
    ):
        assert (found in naive) if naive else found is None


@given(used)
def test_every_network_that_lies_in_another_is_told_once(all_used: list[Used]) -> None:
    apart = {(one.network.masked(), one.name): one for one in all_used}
    masked = [one._replace(network=one.network.masked()) for one in apart.values()]
    inner = [one for _, one in nested(masked)]
    naive = [
        one
        for one in masked
        if any(
            other is not one
            and other.network.prefix <= one.network.prefix
            and other.network.contains(one.network.address)
            for other in masked
        )
    ]
    assert len(inner) == len(set(inner))
    assert {one.network for one in inner} == {one.network for one in naive}
