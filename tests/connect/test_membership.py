"""Membership: a Peer is found, created, taken over, deleted, or left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kgctl.cli.core.hints import message
from kgctl.connect.identity import Application, Membership, MembershipError
from kgctl.errors import AlreadyExistsError, NotFoundError
from kgctl.state.interface import PeersNotServedError
from tests.wireguard.test_device import KEYS, cidr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.key import PublicKey


class Store:
    """Peer objects in memory."""

    def __init__(self) -> None:
        self.peers: dict[str, dict[str, Any]] = {}
        self.made = 0
        self.served = True

    def get(self, name: str) -> dict[str, Any]:
        if not self.served:
            raise PeersNotServedError("no such resource", group="kilo.squat.ai", place="HOST")
        if name not in self.peers:
            raise NotFoundError(f"there is no peer {name}", 404, "NotFound")
        return self.peers[name]

    def create(self, peer: Mapping[str, Any]) -> dict[str, Any]:
        name = peer["metadata"]["name"]
        if name in self.peers:
            raise AlreadyExistsError("there is one", 409, "AlreadyExists")
        self.made += 1
        self.peers[name] = {**peer, "metadata": {"name": name, "uid": f"uid-{self.made}"}}
        return self.peers[name]

    def patch(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        self.peers[name]["spec"] |= patch["spec"]
        return self.peers[name]

    def delete(self, name: str, *, uid: str | None = None) -> None:
        assert self.peers[name]["metadata"]["uid"] == uid
        del self.peers[name]


def application(key: PublicKey = KEYS[0]) -> Application:
    return Application(
        name="laptop", allowed_ips=(cidr("10.5.0.1/32"),), public_key=key, keepalive=10
    )


def test_it_is_created_and_deleted() -> None:
    store = Store()
    membership = Membership(store, "laptop")
    assert membership.join(membership.find(), application())
    assert store.peers["laptop"]["spec"] == {
        "allowedIPs": ["10.5.0.1/32"],
        "persistentKeepalive": 10,
        "publicKey": str(KEYS[0]),
    }
    assert membership.leave(KEYS[0])
    assert not membership.leave(KEYS[0])
    assert store.peers == {}


def test_one_that_was_there_is_used_and_stays() -> None:
    store = Store()
    store.create(application().manifest())
    membership = Membership(store, "laptop")
    assert not membership.join(membership.find(), application())
    assert not membership.leave(KEYS[0])
    assert store.peers


def test_one_of_another_key_is_left_alone() -> None:
    store = Store()
    store.create(application(KEYS[1]).manifest())
    membership = Membership(store, "laptop")
    found = membership.find()
    with pytest.raises(MembershipError, match="give its key") as raised:
        membership.join(found, application())
    assert str(KEYS[1]) in str(raised.value)
    assert message(raised.value).endswith("or give its key with --private-key FILE")
    assert not membership.leave(KEYS[0])
    assert store.peers["laptop"]["spec"]["publicKey"] == str(KEYS[1])


def test_one_that_a_killed_one_left_gets_the_new_key_and_is_deleted() -> None:
    store = Store()
    store.create(application(KEYS[1]).manifest())
    membership = Membership(store, "laptop", known_key=str(KEYS[1]))
    assert not membership.join(membership.find(), application())
    assert store.peers["laptop"]["spec"]["publicKey"] == str(KEYS[0])
    assert membership.leave(KEYS[0])
    assert store.peers == {}


def test_one_that_somebody_gave_another_key_since_is_not_deleted() -> None:
    store = Store()
    membership = Membership(store, "laptop")
    membership.join(None, application())
    store.peers["laptop"]["spec"]["publicKey"] = str(KEYS[2])
    assert not membership.leave(KEYS[0])
    assert store.peers


def test_an_invalid_one_and_a_cluster_without_peers_are_told() -> None:
    store = Store()
    store.peers["laptop"] = {"metadata": {"name": "laptop"}, "spec": {"publicKey": "x"}}
    with pytest.raises(MembershipError, match='publicKey "x" is not base64'):
        Membership(store, "laptop").find()
    store.served = False
    with pytest.raises(PeersNotServedError):
        Membership(store, "laptop").find()
