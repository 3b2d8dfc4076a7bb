"""Targets of fuzzing: each takes any bytes, and raises if kgctl misbehaves."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from kgctl.edit.import_files import manifest
from kgctl.edit.network_import import Wishes, merged
from kgctl.errors import KgctlError, ManifestError
from kgctl.link.mesh_file import parse_mesh
from kgctl.state.manifests import Manifests, read_documents
from kgctl.state.marked_yaml import PlacedError
from kgctl.state.network_file import new_network_file, parse_network
from kgctl.state.objects import state_of
from kgctl.state.peer_validation import peer_problems
from kgctl.wireguard.conf import Configuration, PeerSection
from kgctl.wireguard.drift import drift
from kgctl.wireguard.foreign_files import read_foreign
from kgctl.wireguard.machinefiles import decoded, parse_devices
from kgctl.wireguard.parse import ConfigurationError, parse_configuration
from tests.fuzz.language import bytes_of, cluster_of
from tests.support.foreign import ANA, EVERY_FILE, PSK, SECRET
from tests.support.harmless import assert_all_harmless, assert_shown
from tests.support.recorded import CLUSTERS, load
from tests.wireguard.test_machinefiles import KEYFILE, NETDEV, QUICK, SHOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST = 30
"""Objects of which all outputs are made; of more, only the state."""


def objects(data: bytes, scratch: Path) -> None:
    """Take bytes for a cluster, in the fuzzer's language; make every output of it."""
    granularity = "full" if data[:1] == b"f" else "location"
    assert_all_harmless(state_of(cluster_of(data)), granularity)


def manifests(data: bytes, scratch: Path) -> None:
    """Take bytes for a manifest file; make every output of what is in it."""
    path = scratch / "manifest"
    path.write_bytes(data)
    try:
        found = Manifests([str(path)]).read()
    except ManifestError as error:
        _assert_one_line(str(error))
        return
    state = state_of(found)
    if len(found.nodes) + len(found.peers) <= _MOST:
        assert_all_harmless(state)


def configurations(data: bytes, scratch: Path) -> None:
    """Take bytes for a WireGuard configuration; what is read is written, and reads the same."""
    try:
        found = parse_configuration(data.decode("utf-8", "surrogateescape"))
    except ConfigurationError as error:
        _assert_one_line(str(error))
        return
    text = str(found)
    assert text.isprintable() or all(line.isprintable() for line in text.split("\n"))
    assert parse_configuration(text) == found


def dumps(data: bytes, scratch: Path) -> None:
    """Take bytes for what wg prints of an interface; no error shows a part of it."""
    try:
        devices = parse_devices(decoded(data), "it")
    except KgctlError as error:
        _assert_one_line(str(error))
        return
    for device in devices:
        wanted = Configuration(peers=tuple(PeerSection(peer.public_key) for peer in device.peers))
        for one in drift(device, wanted, device.public_key, 1.8e9):
            _assert_one_line(f"{one.wanted} {one.found}"[:1999])


def meshes(data: bytes, scratch: Path) -> None:
    """Take bytes for the file of ``kgctl link``; what is wrong with it is told in one line."""
    try:
        mesh = parse_mesh("mesh.yaml", data)
    except PlacedError as error:
        _assert_one_line(str(error).removeprefix("mesh.yaml:"))
        return
    assert len(mesh.clusters) > 1


_CUT = b"\n--- next file ---\n"
"""Separates the files that one input stands for."""


def imports(data: bytes, scratch: Path) -> None:
    """Take bytes for files to import; what is read becomes valid Peers, and no secret is shown."""
    texts = [decoded(part) for part in data.split(_CUT)]
    try:
        files = [read_foreign(text, f"file{number}") for number, text in enumerate(texts)]
        found = merged(files, Wishes({"": "192.0.2.1:51820"}, ANA))
    except KgctlError as error:
        _assert_one_line(str(error))
        _assert_no_secret(str(error))
        return
    assert len({machine.name for machine in found.machines}) == len(found.machines)
    for machine in found.machines:
        assert peer_problems(manifest(machine)) == (machine.name, ())
    for line in (*found.notes, *found.losses):
        _assert_one_line(line)
        _assert_no_secret(line)


def _assert_no_secret(message: str) -> None:
    assert not any(secret[:40] in message for secret in (SECRET, PSK))


def networks(data: bytes, scratch: Path) -> None:
    """Take bytes for a ``network.yaml``; what is read is written, and reads the same."""
    try:
        found = parse_network("network.yaml", data)
    except PlacedError as error:
        _assert_one_line(str(error).removeprefix("network.yaml:"))
        return
    assert parse_network("network.yaml", new_network_file(found).encode()) == found


def _assert_one_line(message: str) -> None:
    assert_shown(message)
    assert "\n" not in message
    assert len(message) < 2000


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "objects": objects,
    "manifests": manifests,
    "configurations": configurations,
    "dumps": dumps,
    "meshes": meshes,
    "imports": imports,
    "networks": networks,
}

DICTIONARY = [
    "\n", "\r\n", "\x00", "\x1b[2J", "\u202e", "\u2028", "\\", '"', "<b>", "PostUp = ", "[Peer]",
    "[Interface]", "kilo.squat.ai/", "apiVersion: v1", "kind: Node", "kind: List", "kind: Peer",
    "kilo.squat.ai/v1alpha1", "items:", "metadata:", "annotations:", "podCIDR", "allowedIPs",
    "&a ", "*a", "<<: ", "!!bool ", "!!int ", "---\n", "? ", "0x", "10.0.0.1/32", "::ffff:1.2.3.4",
    "fe80::1%eth0", ":51820", "AllowedIPs = ", "Endpoint = ", "PersistentKeepalive = ", "off",
    "PublicKey = ", "PresharedKey = ", "PrivateKey = ", "ListenPort = ", "Address = ", "DNS = ",
    "### begin ", "### Client ", "# Name: ", "# friendly_name = ", "#[disabled] ", "SaveConfig",
    "[WireGuardPeer]", "[wireguard-peer.", "address1=", "kgctl.dev/v1alpha1", "kind: Network",
    "pools:", "defaults:", "searchDomains:",
    "\\ud800", '{"dnsOrIP":{"dns":"a"},"port":1}', "A" * 43 + "=",
]  # fmt: skip
"""Words that mean something to what is fuzzed: it need not find them by chance."""


def seeds(target: str) -> list[bytes]:
    """Return inputs that mean something, to begin with: parts of the recorded clusters."""
    found: list[bytes] = []
    for recording in CLUSTERS[::3]:
        cluster, cases = load(recording)
        items = cluster["items"]
        if target == "objects":
            found.append(bytes_of(items[:2] + items[-2:]))
        elif target == "manifests":
            few = {**cluster, "items": items[:1] + items[-1:]}
            found.append(json.dumps(few).encode())
            found.append(_yaml(few))
        elif target == "dumps":
            found += [_dump(number) for number in range(3)]
            found += [text.encode() for text in (NETDEV, KEYFILE, SHOW, QUICK)]
        elif target == "meshes":
            found.append(_MESH)
        elif target == "imports":
            found += [text.encode() for text in EVERY_FILE]
            found.append(_CUT.join(text.encode() for text in EVERY_FILE[:3]))
        elif target == "networks":
            found.append(_NETWORK)
        else:
            found += [case["stdout"].encode() for case in cases if "[Peer]" in case["stdout"]][:5]
    return [seed for seed in found if len(seed) < 8000]


_MESH = b"""apiVersion: kgctl.dev/v1alpha1
kind: Mesh
clusters:
  - {name: eu, context: a, serviceCIDRs: [10.43.0.0/16]}
  - {name: us, manifests: [b], share: {pods: true, cidrs: [fd00::/64]}}
topology: {hubs: [eu]}
allow: [overlap]
presharedKeys: {default: generate, pairs: [{clusters: [eu, us], secret: {name: x}}]}
"""


_NETWORK = b"""# a network
apiVersion: kgctl.dev/v1alpha1
kind: Network
name: home
pools: [10.73.5.0/24, "fd73:5::/64"]
defaults:
  persistentKeepalive: 25
  dns: [10.73.5.1]
  searchDomains: [home.arpa]
"""


def _dump(peers: int) -> bytes:
    """Return what ``wg show all dump`` prints of an interface with so many peers."""
    key, secret = "B" * 42 + "A=", "C" * 42 + "A="
    lines = [f"kilo0\t{secret}\t{key}\t51820\toff"]
    lines += [
        f"kilo0\t{'DEF'[number]}{key[1:]}\t(none)\t192.0.2.1:51820\t10.{number}.0.0/16,fd00::/64"
        "\t1800000000\t1\t2\t25"
        for number in range(peers)
    ]
    return ("\n".join(lines) + "\n").encode()


def _yaml(cluster: object) -> bytes:
    import yaml

    text = yaml.safe_dump(cluster).encode()
    with contextlib.suppress(ManifestError):
        assert read_documents("seed", text) == [cluster]
    return text
