"""``kgctl link --adopt`` on real API servers: agents never lose the key of a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kgctl.errors import ConflictError
from kgctl.link.apply import apply_step
from kgctl.link.foreign_links import LINK_ANNOTATION as LINK
from kgctl.link.peers import owner_labels, peer_steps
from kgctl.mesh.peer import Peer
from kgctl.state.api_server import ApiServer as Source
from kgctl.state.api_server import watch_peers
from kgctl.state.peer_objects import peer_of
from tests.api.test_link import PEERS, pair
from tests.support.several import key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.api.test_link import Pair
    from tests.apiserver.server import ApiServer

__all__ = ["pair"]

LINK_NAME = "link-east.asia"
E1, SECRET = key("2 e1"), key("preshared")


def hand(name: str, public_key: str, *networks: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {"allowedIPs": list(networks), "publicKey": public_key, **spec},
    }


def linked_by_hand(pair: Pair) -> None:
    """Link the clusters as Kilo's documentation shows."""
    endpoint = {"dnsOrIP": {"dns": "east.example.com"}, "port": 51820}
    more = {"endpoint": endpoint, "presharedKey": SECRET}
    networks = ("10.2.1.0/24", "172.18.0.1/32", "10.102.0.1/32", "10.53.0.0/16")
    pair.west.apply([hand("e1", E1, *networks, **more)])
    pair.east.apply(
        [
            hand("w1", key("1 w1"), "10.1.1.0/24", "172.17.0.1/32", "10.101.0.1/32"),
            hand("w3", key("1 w3"), "10.1.3.0/24", "172.17.0.3/32", "10.101.0.2/32"),
        ]
    )


class Recording:
    """The writes of Peers in one cluster from now on, in their order."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        found = server.request("GET", PEERS)
        self._start = {one["metadata"]["name"]: one for one in found["items"]}
        self._version = found["metadata"]["resourceVersion"]

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        with Source(kubeconfig=str(self._server.kubeconfig)) as source:
            changes = watch_peers(source.api(), self._version, lasts=1)
            return [(one.kind, dict(one.object)) for one in changes if one.object is not None]

    def keys_of_an_agent(self) -> Iterable[set[str]]:
        """Yield the keys that Kilo's agent has on its device after each write.

        It knows valid Peers by their keys; it acts on a change where both states are valid, and on
        the deletion of one that is valid.
        """
        objects = dict(self._start)
        keys = {key_of(one): name for name, one in objects.items() if is_valid(one)}
        yield set(keys)
        for kind, one in self.events():
            name = one["metadata"]["name"]
            before = objects.pop(name, None)
            if kind == "DELETED":
                if is_valid(one):
                    keys.pop(key_of(one), None)
            else:
                objects[name] = one
                if is_valid(one) and (before is None or is_valid(before)):
                    if before is not None and key_of(before) != key_of(one):
                        keys.pop(key_of(before), None)
                    keys[key_of(one)] = name
            yield set(keys)


def is_valid(one: dict[str, Any]) -> bool:
    return isinstance(peer_of(one), Peer)


def key_of(one: dict[str, Any]) -> str:
    return str(one["spec"]["publicKey"])


def test_peers_are_taken_over_in_place_and_unlinked_later(pair: Pair) -> None:
    linked_by_hand(pair)
    before = pair.specs()
    refused = pair.run("link", "--yes")
    assert refused.returncode == 1
    assert "take the Peers over with --adopt" in refused.stderr
    assert pair.specs() == before
    assert pair.run("link", "--adopt", "--dry-run").returncode == 0
    assert pair.specs() == before
    recording = Recording(pair.west)
    run = pair.run("link", "--adopt", "--yes", "--service-cidr", "west=none")
    assert run.returncode == 0, run.stderr
    assert all(E1 in keys for keys in recording.keys_of_an_agent())
    after = pair.specs()
    assert set(after) == set(before)
    spec = after["west/e1"]
    assert spec["endpoint"] == {"dnsOrIP": {"ip": "203.0.113.21"}, "port": 51820}
    assert spec["presharedKey"] == SECRET
    assert "10.53.0.0/16" in spec["allowedIPs"]
    assert "10.1.2.0/24" in after["east/w1"]["allowedIPs"]
    again = pair.run("link", "--yes", "--service-cidr", "west=none")
    assert again.stdout == "nothing to do\n"
    unlinked = pair.run("unlink", "--yes")
    assert unlinked.returncode == 0
    assert set(pair.specs()) == {"east/laptop"}


def test_a_second_peer_of_a_link_goes_without_its_key(pair: Pair) -> None:
    assert pair.run("link", "--yes").returncode == 0
    pair.west.apply([hand("e1", E1, "10.2.1.0/24", "10.102.0.1/32")])
    recording = Recording(pair.west)
    run = pair.run("link", "--adopt", "--prune", "--yes")
    assert run.returncode == 0, run.stderr
    assert "  - peer e1\n" in run.stdout
    assert all(E1 in keys for keys in recording.keys_of_an_agent())
    last = recording.events()[-1]
    assert (last[0], last[1]["metadata"]["name"]) == ("MODIFIED", "link-east.asia")
    assert "west/e1" not in pair.specs()
    assert pair.run("link", "--yes").stdout == "nothing to do\n"


def test_the_recording_shows_what_deleting_at_once_would_do(pair: Pair) -> None:
    """The order of writes counts: to delete the second Peer alone takes the key out."""
    assert pair.run("link", "--yes").returncode == 0
    pair.west.apply([hand("e1", E1, "10.2.1.0/24", "10.102.0.1/32")])
    recording = Recording(pair.west)
    pair.west.request("DELETE", f"{PEERS}/e1")
    assert E1 not in list(recording.keys_of_an_agent())[-1]


def test_a_change_of_someone_else_in_between_is_not_lost(pair: Pair) -> None:
    linked_by_hand(pair)
    metadata = {"name": "e1", "labels": owner_labels("east"), "annotations": {LINK: LINK_NAME}}
    wanted = {"e1": {**hand("e1", E1, "10.2.1.0/24"), "metadata": metadata}}
    with Source(kubeconfig=str(pair.west.kubeconfig)) as source:
        (step,) = peer_steps(source.read().peers, wanted, ["east"], prune=False, taken=["e1"])
        pair.west.apply([hand("e1", E1, "10.9.9.0/24")])
        with pytest.raises(ConflictError):
            apply_step(step, source.peers())
    assert pair.specs()["west/e1"]["allowedIPs"] == ["10.9.9.0/24"]
