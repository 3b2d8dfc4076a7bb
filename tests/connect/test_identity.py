"""Keys in a dry run, and shared addresses of this host."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kgctl.cli.core.hints import message
from kgctl.connect.dryrun import device_commands, peer_commands
from kgctl.connect.identity import Application, RejectedError, establish
from kgctl.connect.interface import Options
from kgctl.connect.shared_addresses import shared_addresses
from kgctl.host.record import Record
from kgctl.state.interface import Objects
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import MtuError
from kgctl.wireguard.device import DeviceChange, DeviceState
from kgctl.wireguard.keys import PrivateKey
from tests.connect.test_membership import Store, application
from tests.wireguard.test_device import KEYS, cidr

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.connect.identity import Identity

PROGRAMS = {
    "kubectl": '#!/bin/sh\necho "$@" >>"$SAID"\ncase $1 in create) cat >>"$SAID" ;; esac\n',
    # what is no stand-in of it is wg(8) itself
    "wg": '#!/bin/sh\ncase $1 in set) shift 3; cat "$1" >>"$SET" ;; *) exec "$WG" "$@" ;; esac\n',
}


def options(private_key: Path | None = None) -> Options:
    return Options(
        name="laptop",
        interface="kilo0",
        address=None,
        extra=(),
        private_key=private_key,
        listen_port=51820,
        keepalive=10,
        mtu=1420,
        period=30.0,
        clean_up=True,
        granularity="auto",
        topology_label="",
    )


def carried_out(identity: Identity, file: Path | None, directory: Path) -> tuple[str, str]:
    """Run the commands of a dry run; return what kubectl got, and the private key that wg got."""
    found = subprocess.run(["which", "wg"], capture_output=True, text=True, check=True)
    for name, text in PROGRAMS.items():
        program = directory / name
        program.write_text(text)
        program.chmod(0o755)
    said, given = directory / "said", directory / "given"
    change = DeviceChange(private_key=identity.private_key)
    lines = [
        *peer_commands(identity),
        *device_commands("kilo0", change, private_key=file, peer="laptop"),
    ]
    assert identity.private_key.reveal() not in "\n".join(lines)
    path = f"{directory}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "SAID": str(said), "SET": str(given), "WG": found.stdout.strip()}
    script = "\n".join(lines)
    subprocess.run(["bash", "-euc", script], env=environment, check=True)
    return said.read_text(), given.read_text()


@pytest.mark.needs("wg")
@pytest.mark.parametrize("kept", [False, True], ids=["a new key", "the key of a file"])
def test_the_peer_of_a_dry_run_has_the_public_key_of_its_private_key(
    kept: bool, tmp_path: Path
) -> None:
    file = None
    if kept:
        file = tmp_path / "it's a key"
        file.touch(mode=0o600)
        file.write_text(PrivateKey.generate().reveal())
    identity = establish(options(file), Store(), None, None)
    assert identity.generated is not kept
    said, given = carried_out(identity, file, tmp_path)
    first, manifest = said.split("\n", 1)
    assert first == "create -f -"
    key = subprocess.run(["wg", "pubkey"], input=given, capture_output=True, text=True, check=True)
    assert json.loads(manifest)["spec"]["publicKey"] == key.stdout.strip()
    assert json.loads(manifest)["spec"]["allowedIPs"] == ["10.10.10.10/32"]


@pytest.mark.needs("wg")
@pytest.mark.parametrize("kept", [False, True], ids=["a new key", "the key of a file"])
def test_a_dry_run_gives_a_peer_that_was_left_the_key_that_it_sets(
    kept: bool, tmp_path: Path
) -> None:
    store = Store()
    store.create(application(KEYS[1]).manifest())
    record = Record(interface="kilo0", peer="laptop", peer_key=str(KEYS[1]))
    file = None
    if kept:
        file = tmp_path / "key"
        file.touch(mode=0o600)
        file.write_text(PrivateKey.generate().reveal())
    identity = establish(options(file), store, record, None)
    said, given = carried_out(identity, file, tmp_path)
    key = subprocess.run(["wg", "pubkey"], input=given, capture_output=True, text=True, check=True)
    words = "patch peer laptop --type merge -p "
    assert said.startswith(words)
    assert json.loads(said.removeprefix(words)) == {"spec": {"publicKey": key.stdout.strip()}}


def test_a_dry_run_takes_over_the_key_of_a_device_that_was_left(tmp_path: Path) -> None:
    key = PrivateKey.generate()
    record = Record(interface="kilo0", peer="desk", peer_key=str(key.public_key()))
    identity = establish(options(), Store(), record, DeviceState(private_key=key))
    assert not identity.generated
    lines = list(peer_commands(identity))
    assert lines[0] == f"kubectl delete peer desk  # if its public key still is {key.public_key()}"
    assert str(key.public_key()) in lines[2]


def peer(name: str, *allowed_ips: str, port: int = 51820) -> dict[str, object]:
    spec = {
        "allowedIPs": list(allowed_ips),
        "publicKey": str(KEYS[len(name) % len(KEYS)]),
        "endpoint": {"dnsOrIP": {"ip": "192.0.2.1"}, "port": port},
    }
    return {"metadata": {"name": name}, "spec": spec}


def shared(*peers: dict[str, object]) -> list[str]:
    state = state_of(Objects([], list(peers), {}))
    return list(map(message, shared_addresses(state, "laptop", [cidr("10.10.10.10/32")])))


def test_an_address_that_another_peer_has_is_told_with_who_gets_the_packets() -> None:
    own = peer("laptop", "10.10.10.10/32")
    assert shared(own, peer("desk", "10.10.10.11/32")) == []
    (told,) = shared(own, peer("desk", "10.5.0.1/32", "10.10.10.10/32"))
    assert "10.10.10.10/32 (an allowed IP of peer desk)" in told
    assert "nodes send its packets to peer desk only" in told
    assert told.endswith("give every host an address of its own (--allowed-ip)")
    (told,) = shared(own, peer("phone", "10.10.10.10/32"))
    assert "nodes send its packets to peer laptop only" in told
    (told,) = shared(own, peer("an\nother", "10.10.10.10/32"))
    assert "peer an\\nother only" in told
    assert "\n" not in told


def test_what_is_wider_or_takes_no_part_gets_no_packets_and_is_told_all_the_same() -> None:
    for other in (peer("desk", "10.10.0.0/16"), peer("desk", "10.10.10.10/32", port=0)):
        (told,) = shared(other)
        assert "peer desk" in told
        assert "only" not in told
    (told,) = shared(*(peer(f"desk-{number}", "10.10.10.10/32") for number in range(1000)))
    assert "and 997 more" in told


def test_an_address_out_of_kilo_s_own_network_is_told() -> None:
    state = state_of(Objects([], [], {}))
    (told,) = shared_addresses(state, "laptop", [cidr("10.4.0.9/32")])
    assert "10.4.0.0/16 (the WireGuard network)" in str(told)


def joined(store: Store, private_key: Path | None = None) -> Identity:
    identity = establish(options(private_key), store, None, None)
    list(identity.enter())
    return identity


def rotate(store: Store, key: PrivateKey) -> None:
    store.patch("laptop", {"spec": {"publicKey": str(key.public_key())}})


def test_a_peer_whose_key_was_read_late_changes_nothing() -> None:
    identity = joined(Store())
    assert identity.with_key_of_peer(None) is identity
    identity.membership.leave(identity.application.public_key)
    assert identity.with_key_of_peer(None) is identity  # it is gone by now


def test_another_key_of_the_peer_rejects_a_host_whose_own_is_in_memory() -> None:
    store = Store()
    identity, other = joined(store), PrivateKey.generate()
    rotate(store, other)
    with pytest.raises(RejectedError, match="the public key of the Peer") as raised:
        identity.with_key_of_peer(None)
    assert raised.value.final
    assert str(other.public_key()) in str(raised.value)
    assert message(raised.value).endswith("give the new private key with --private-key FILE")
    assert identity.private_key.reveal() not in str(raised.value)


def test_another_key_of_the_peer_is_taken_from_the_file_once_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "new\nkey"
    file.touch(mode=0o600)
    file.write_text(PrivateKey.generate().reveal())
    store = Store()
    identity, other = joined(store, file), PrivateKey.generate()
    rotate(store, other)
    with pytest.raises(RejectedError, match="put the new private key into") as raised:
        identity.with_key_of_peer(file)
    assert not raised.value.final
    assert "\n" not in str(raised.value)
    file.write_text(other.reveal())
    fresh = identity.with_key_of_peer(file)
    assert fresh.private_key == other
    assert fresh.application.public_key == other.public_key()
    assert fresh.leave(store)  # it is the one that we created


def test_the_key_of_a_killed_one_that_comes_back_is_replaced_again() -> None:
    store, killed = Store(), PrivateKey.generate()
    store.create(application(killed.public_key()).manifest())
    record = Record(interface="kilo0", peer="laptop", peer_key=str(killed.public_key()))
    identity = establish(options(), store, record, None)
    list(identity.enter())
    rotate(store, killed)  # an API server that came back from a backup
    assert identity.with_key_of_peer(None) is identity
    spec = store.peers["laptop"]["spec"]
    assert spec["publicKey"] == str(identity.application.public_key)


@pytest.mark.parametrize(
    ("address", "mtu", "refused"),
    [
        ("fd10:5::1/128", 1279, True),
        ("fd10:5::1/128", 1280, False),
        ("10.5.0.1/32", 576, False),
    ],
)
def test_an_mtu_that_ends_ipv6_is_refused(address: str, mtu: int, refused: bool) -> None:
    given = replace(options(), address=cidr(address), mtu=mtu)
    store = Store()
    if not refused:
        establish(given, store, None, None)
        return
    with pytest.raises(MtuError) as raised:
        establish(given, store, None, None)
    assert message(raised.value) == (
        "an MTU of 1279 is too small for the address fd10:5::1/128: Linux removes IPv6 from an "
        "interface below 1280; give at least 1280 with --mtu"
    )
    assert store.made == 0


def test_the_addresses_of_the_peer_count_too() -> None:
    store = Store()
    both = Application(
        name="laptop",
        allowed_ips=(cidr("10.5.0.1/32"), cidr("fd10:5::1/128")),
        public_key=KEYS[0],
        keepalive=10,
    )
    store.create(both.manifest())
    with pytest.raises(MtuError):
        establish(replace(options(), mtu=1000), store, None, None)
