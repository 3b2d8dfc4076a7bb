"""``kgctl link -f FILE`` on three real API servers, with the rights that docs/ grants."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.mesh.key import PresharedKey
from tests.api.test_link import PEERS, ROLE, done_and_unsaid, node, wait_for
from tests.apiserver.client import RefusedError
from tests.cli.test_link_file import steps_of
from tests.support.faults import FaultyProxy, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.apiserver.server import ApiServer

KEEPER = Path(ROLE).with_name("rbac-link-secrets.yaml")
SECRETS = "/api/v1/namespaces/kube-system/secrets"
NODES = {
    "eu": [node("e1", 1, 1, "x"), node("e2", 1, 2, "y")],
    "us": [node("u1", 2, 1, "x")],
    "edge": [node("d1", 3, 1, "x", endpoint="192.168.0.1:51820", persistent_keepalive="25")],
}
NAMES = tuple(NODES)


SERVICES_ROLE = ROLE.with_name("rbac-link-services.yaml")


class Trio:
    """Three clusters, a file that names them, and kgctl."""

    def __init__(self, servers: Mapping[str, ApiServer], directory: Path) -> None:
        self.servers = servers
        self.file = directory / "mesh.yaml"
        rules = yaml.safe_load(KEEPER.read_text())["rules"]
        rules += yaml.safe_load(SERVICES_ROLE.read_text())["rules"]
        rules += yaml.safe_load(ROLE.read_text())["rules"]
        self.kubeconfigs = {
            name: str(server.user("mesh-linker", rules)) for name, server in servers.items()
        }
        self.reset()

    def reset(self, *, nodes: bool = True) -> None:
        """Have nothing but the nodes in the clusters."""
        for name, server in self.servers.items():
            server.request("DELETE", PEERS)
            for other in NAMES:
                if f"kgctl-link-{other}" in self.secrets(name):
                    server.request("DELETE", f"{SECRETS}/kgctl-link-{other}")
            if nodes:
                server.clear()
                server.apply(NODES[name])
                listed = "/api/v1/nodes?resourceVersion=0"
                while len(server.request("GET", listed)["items"]) != len(NODES[name]):
                    time.sleep(0.05)

    def write(self, *, accept: Sequence[str] = (), **more: Any) -> None:
        clusters = [
            {
                "name": name,
                "kubeconfig": path,
                "serviceCIDRs": [],
                "limits": {"accept": list(accept)},
            }
            for name, path in self.kubeconfigs.items()
        ]
        mesh = {"apiVersion": "kgctl.dev/v1alpha1", "kind": "Mesh", "clusters": clusters, **more}
        self.file.write_text(yaml.safe_dump(mesh))

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "kgctl", command, "-f", str(self.file), *options]
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
        )

    def linked(self, *options: str) -> str:
        run = self.run("link", "--yes", *options)
        assert run.returncode == 0, run.stderr
        assert run.stderr == ""
        return run.stdout

    def specs(self) -> dict[str, dict[str, Any]]:
        """Return the spec of every peer, by cluster and name."""
        return {
            f"{name}/{peer['metadata']['name']}": peer["spec"]
            for name, server in self.servers.items()
            for peer in server.request("GET", PEERS)["items"]
        }

    def secrets(self, name: str) -> dict[str, dict[str, Any]]:
        items = self.servers[name].request("GET", SECRETS)["items"]
        return {one["metadata"]["name"]: one for one in items}

    def kept(self) -> dict[str, str]:
        """Return the preshared key in every Secret, by cluster and name."""
        return {
            f"{name}/{secret}": base64.b64decode(one["data"]["presharedKey"]).decode()
            for name in self.servers
            for secret, one in self.secrets(name).items()
        }


@pytest.fixture(scope="module")
def servers(
    api_server: ApiServer, other_api_server: ApiServer, third_api_server: ApiServer
) -> dict[str, ApiServer]:
    return dict(zip(NAMES, (api_server, other_api_server, third_api_server), strict=True))


@pytest.fixture
def trio(servers: dict[str, ApiServer], tmp_path: Path) -> Iterator[Trio]:
    made = Trio(servers, tmp_path)
    yield made
    made.reset()
    for server in servers.values():
        server.clear()


def test_every_cluster_is_linked_with_every_other(trio: Trio) -> None:
    trio.write()
    said = trio.linked()
    assert steps_of(said).startswith("eu:\n  + peer link-edge.x\n  + peer link-us.x\nus:\n")
    assert "8 to add, 0 to change, 0 to remove\n" in said
    assert set(trio.specs()) == {
        "eu/link-edge.x", "eu/link-us.x", "us/link-edge.x", "us/link-eu.x", "us/link-eu.y",
        "edge/link-eu.x", "edge/link-eu.y", "edge/link-us.x",
    }  # fmt: skip
    assert trio.linked() == "nothing to do\n"
    assert trio.kept() == {}


def test_the_command_line_makes_the_same_of_the_same(trio: Trio) -> None:
    trio.write()
    trio.linked()
    arguments = [f"{name}={path}" for name, path in trio.kubeconfigs.items()]
    argv = [sys.executable, "-m", "kgctl", "link", *arguments, "--yes"]
    assert subprocess.check_output(argv, text=True) == "nothing to do\n"


def test_spokes_know_the_hub_and_through_it_each_other(trio: Trio) -> None:
    trio.write(topology={"hubs": ["eu"]}, prune=True)
    trio.linked()
    hub = {"eu/link-edge.x", "eu/link-us.x"}
    spokes = {"us/link-eu.x", "us/link-eu.y", "edge/link-eu.x", "edge/link-eu.y"}
    specs = trio.specs()
    assert set(specs) == hub | spokes
    assert specs["us/link-eu.x"]["allowedIPs"] == [
        "10.1.1.0/24", "172.17.0.1/32", "10.101.0.1/32",
        "10.3.1.0/24", "172.19.0.1/32", "10.103.0.1/32",
    ]  # fmt: skip
    assert "10.2.1.0/24" in specs["edge/link-eu.x"]["allowedIPs"]
    assert "10.2.1.0/24" not in specs["edge/link-eu.y"]["allowedIPs"]
    assert "endpoint" not in specs["eu/link-edge.x"]
    assert trio.linked() == "nothing to do\n"
    trio.write()  # a full mesh, and back
    trio.linked()
    assert len(trio.specs()) == 8
    trio.write(topology={"hubs": ["eu"]})
    assert "  ? peer link-us.x is stale; --prune removes it\n" in trio.linked()
    trio.write(topology={"hubs": ["eu"]}, prune=True)
    assert "0 to add, 0 to change, 2 to remove\n" in trio.linked()
    assert trio.specs() == specs


def test_keys_are_made_once_kept_by_both_rotated_and_removed(trio: Trio) -> None:
    trio.write(presharedKeys="generate")
    said = trio.linked()
    assert "eu:\n  + secret kgctl-link-us\n  + secret kgctl-link-edge\n  + peer" in said
    kept = trio.kept()
    assert check_keys(trio) == 3
    assert trio.linked() == "nothing to do\n"
    assert trio.kept() == kept
    rotated = trio.linked("--rotate-preshared-keys")
    assert "  ~ secret kgctl-link-us (presharedKey)\n" in rotated
    assert "  ~ peer link-us.x (presharedKey)\n" in rotated
    assert check_keys(trio) == 3
    assert not set(trio.kept().values()) & set(kept.values())
    assert not any(key in said + rotated for key in [*kept.values(), *trio.kept().values()])
    debugged = trio.run("link", "--yes", "--debug", "--rotate-preshared-keys")
    assert "PUT /api/v1/namespaces/kube-system/secrets/kgctl-link-us: 200" in debugged.stderr
    assert not any(key in debugged.stdout + debugged.stderr for key in trio.kept().values())
    labels = trio.secrets("eu")["kgctl-link-us"]["metadata"]["labels"]
    assert labels == {
        "app.kubernetes.io/managed-by": "kgctl-link",
        "kgctl.dev/linked-cluster": "us",
    }
    unlinked = trio.run("unlink", "--yes")
    assert (unlinked.returncode, unlinked.stderr) == (0, "")
    assert (trio.kept(), trio.specs()) == ({}, {})


def check_keys(trio: Trio) -> int:
    """Make sure that two clusters have one key in all that is between them; count the keys."""
    kept = trio.kept()
    for place, spec in trio.specs().items():
        target, _, source = place.partition("/link-")
        source = source.partition(".")[0]
        assert spec["presharedKey"] == kept[f"{target}/kgctl-link-{source}"]
        assert spec["presharedKey"] == kept[f"{source}/kgctl-link-{target}"]
        assert PresharedKey.parse(spec["presharedKey"]) is not None
    return len(set(kept.values()))


def test_watching_keeps_keys_too(trio: Trio) -> None:
    trio.write(presharedKeys="generate", accept=["*=172.16.0.0/12"])  # the nodes' internal IPs
    argv = [sys.executable, "-m", "kgctl", "link", "-f", str(trio.file), "--yes", "--watch"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        try:
            wait_for(lambda: len(trio.specs()) == 8)
            assert check_keys(trio) == 3
        finally:
            watching.terminate()
        said = watching.communicate(timeout=60)[0]
    assert "+ secret kgctl-link-us\n" in said
    assert not any(key in said for key in trio.kept().values())
    assert trio.linked() == "nothing to do\n"


def test_a_key_that_one_side_lost_comes_back_from_the_other(trio: Trio) -> None:
    trio.write(presharedKeys="generate")
    trio.linked()
    kept = trio.kept()
    trio.servers["edge"].request("DELETE", f"{SECRETS}/kgctl-link-eu")
    assert "edge:\n  + secret kgctl-link-eu\n1 to add" in trio.linked()
    assert trio.kept() == kept
    for name, other in (("edge", "eu"), ("eu", "edge")):
        trio.servers[name].request("DELETE", f"{SECRETS}/kgctl-link-{other}")
    trio.linked()  # which is another way to rotate one
    assert check_keys(trio) == 3
    assert trio.kept()["eu/kgctl-link-edge"] != kept["eu/kgctl-link-edge"]
    assert trio.kept()["eu/kgctl-link-us"] == kept["eu/kgctl-link-us"]


def test_a_pair_may_have_a_key_of_its_own_or_none(trio: Trio) -> None:
    trio.write(presharedKeys="generate")
    trio.linked()
    mine = base64.b64encode(bytes(range(32))).decode()
    file = trio.file.with_name("psk")
    file.write_text(f"{mine}\n")
    file.chmod(0o640)
    pairs = [
        {"clusters": ["us", "eu"], "file": "psk"},
        {"clusters": ["us", "edge"], "mode": "none"},
    ]
    trio.write(presharedKeys={"default": "generate", "pairs": pairs})
    readable = trio.run("link", "--yes")
    assert readable.returncode == 1
    assert "others can read the preshared key" in readable.stderr
    file.chmod(0o600)
    assert "  ? secret kgctl-link-us is stale; --prune removes it\n" in trio.linked()
    specs = trio.specs()
    assert specs["eu/link-us.x"]["presharedKey"] == mine
    assert specs["us/link-eu.y"]["presharedKey"] == mine
    assert "presharedKey" not in specs["us/link-edge.x"]
    trio.linked("--prune")
    assert set(trio.kept()) == {"eu/kgctl-link-edge", "edge/kgctl-link-eu"}
    assert trio.specs() == specs


def test_a_key_may_come_from_a_secret_that_somebody_else_keeps(trio: Trio) -> None:
    mine = base64.b64encode(bytes(range(32))).decode()
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kgctl-link-eu"},
        "data": {"psk": base64.b64encode(mine.encode()).decode()},
    }  # fmt: skip
    reference = {"name": "kgctl-link-eu", "key": "psk"}
    pairs = [{"clusters": ["us", "eu"], "secret": reference}]
    trio.write(presharedKeys={"pairs": pairs})
    missing = trio.run("link", "--yes")
    assert "the secret kube-system/kgctl-link-eu is neither in eu nor in us" in missing.stderr
    trio.servers["us"].request("POST", SECRETS, secret)
    trio.linked()
    assert trio.specs()["eu/link-us.x"]["presharedKey"] == mine
    assert trio.linked() == "nothing to do\n"
    pairs[0]["secret"] = {"name": "kgctl-link-eu"}
    trio.write(presharedKeys={"pairs": pairs})
    empty = trio.run("link", "--yes")
    assert 'of us holds no WireGuard preshared key under "presharedKey"' in empty.stderr
    trio.write(presharedKeys="generate")
    foreign = trio.run("link", "--yes")
    assert foreign.returncode == 1
    assert "kgctl-link-eu of us exists, but kgctl link did not make it" in foreign.stderr
    assert mine not in empty.stderr + foreign.stderr


def test_without_the_right_to_keep_keys_nothing_is_written(trio: Trio) -> None:
    rules = yaml.safe_load(ROLE.read_text())["rules"]
    trio.kubeconfigs["us"] = str(trio.servers["us"].user("linker", rules))
    trio.write(presharedKeys="generate")
    run = trio.run("link", "--yes")
    assert run.returncode == 1
    assert "kgctl help rbac link-secrets prints" in run.stderr
    assert (trio.kept(), trio.specs()) == ({}, {})


def test_manifests_are_written_with_the_keys_that_are_kept(trio: Trio) -> None:
    trio.write(presharedKeys="generate")
    directory = trio.file.with_name("manifests")
    early = trio.run("link", "--directory", str(directory))
    assert early.returncode == 1
    assert "lack generated preshared keys" in early.stderr
    assert not directory.exists()
    trio.linked()
    trio.linked("--directory", str(directory))
    file = directory / "eu.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    specs = {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(file.read_text())}
    assert {f"eu/{name}": spec for name, spec in specs.items()} == {
        place: spec for place, spec in trio.specs().items() if place.startswith("eu/")
    }


class Breaking:
    """Faults for several proxies at once: what they pass on, until write ``number`` breaks off."""

    def __init__(self, number: int, fault: Callable[[Request], None]) -> None:
        self._left, self._fault = number, fault

    def pop(self, _at: int) -> Callable[[Request], None]:
        return self._answer

    def _answer(self, request: Request) -> None:
        if request.command != "GET":
            self._left -= 1
            if self._left == -1:
                self._fault(request)
                return
        request.pass_on()


@pytest.mark.parametrize(("rotating", "writes"), [(False, range(10)), (True, range(1, 5))])
def test_after_a_failure_at_any_write_the_next_run_does_the_rest(
    trio: Trio, rotating: bool, writes: range
) -> None:
    """There are ten: four Secrets, and six Peers; the first of the Peers is enough to rotate."""
    options = ("--rotate-preshared-keys",) if rotating else ()
    with contextlib.ExitStack() as stack:
        proxies = []
        for name, server in trio.servers.items():
            proxies.append(stack.enter_context(FaultyProxy(server.url, server.ca)))
            token, url = server.users.with_token("admin"), proxies[-1].url
            trio.kubeconfigs[name] = str(server.write_kubeconfig("faulty", token, url=url))
        trio.write(presharedKeys="generate", topology={"hubs": ["eu"]})
        for write in writes:
            trio.reset(nodes=False)
            if rotating:
                trio.linked()
            before = trio.kept()
            breaking = Breaking(write, (Request.hang_up, done_and_unsaid)[(write + rotating) % 2])
            for proxy in proxies:
                proxy.faults = breaking  # type: ignore[assignment]
            failed = trio.run("link", "--yes", *options)
            assert failed.returncode == 1, failed.stdout
            assert f"; {write} of 10 steps were done, run it again for the rest" in failed.stderr
            for proxy in proxies:
                proxy.faults = []
            trio.linked()
            assert check_keys(trio) == 2
            assert len(trio.specs()) == 6
            if rotating and write > 1:  # both keys are in a Secret: what was begun is finished
                assert not set(trio.kept().values()) & set(before.values())
        assert trio.linked() == "nothing to do\n"


def test_who_was_too_late_to_make_a_key_takes_the_other_next_time(trio: Trio) -> None:
    from kgctl.errors import AlreadyExistsError, ConflictError
    from kgctl.kube.stored import SecretObjects
    from kgctl.link.keys import settled
    from kgctl.state.api_server import ApiServer as Cluster
    from kgctl.wireguard.keys import generate_preshared_key

    with Cluster(kubeconfig=trio.kubeconfigs["eu"]) as cluster:
        store = SecretObjects(cluster.api(), "kube-system")
        none = {"eu": None, "us": None}
        first = settled("kube-system", none, generate_preshared_key)
        late = settled("kube-system", none, generate_preshared_key)
        for made in (first, late):
            wanted = made.steps["eu"].wanted
            assert wanted is not None
            if made is first:
                store.apply(wanted)
            else:
                with pytest.raises(AlreadyExistsError):
                    store.apply(wanted)
        found = store.find("kgctl-link-us")
        assert found is not None
        assert (
            settled("kube-system", {**none, "eu": found}, generate_preshared_key).key == first.key
        )
        stale = {**found, "metadata": {**found["metadata"], "resourceVersion": "1"}}
        with pytest.raises(ConflictError):
            store.apply(stale)
    with pytest.raises(RefusedError):
        trio.servers["eu"].request("GET", f"{SECRETS}/kgctl-link-edge")
