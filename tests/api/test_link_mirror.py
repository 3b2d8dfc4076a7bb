"""``kgctl link --mirror`` between two real API servers, with the rights that docs/ grants."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.api.test_link import ROLE, Pair, done_and_unsaid, wait_for
from tests.apiserver.client import RefusedError
from tests.support.faults import FaultyProxy, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.apiserver.server import ApiServer

SERVICES_ROLE = Path(__file__).parents[2] / "docs" / "rbac-link-services.yaml"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
SERVICES = "/api/v1/namespaces/shop/services"
MIRROR = ("--yes", "--mirror", "shop/web")


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": ports, "selector": {"app": "web"}, **spec},
    }


def slices(server: ApiServer) -> str:
    """Where the server has the EndpointSlices of the namespace, whichever version it serves."""
    return f"/apis/{server.slices_api}/namespaces/shop/endpointslices"


def slice_of(
    server: ApiServer, name: str, *addresses: str, ready: bool = True, port: int = 8080
) -> dict[str, Any]:
    return {
        "apiVersion": server.slices_api,
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": ready}} for address in addresses
        ],
    }


class Shops(Pair):
    """West has a service; both have the namespace."""

    def __init__(self, west: ApiServer, east: ApiServer) -> None:
        super().__init__(west, east)
        rules = [
            rule
            for page in (ROLE, SERVICES_ROLE)
            for rule in yaml.safe_load(page.read_text())["rules"]
        ]
        self.west_config = west.user("mirrorer", rules)
        self.east_config = east.user("mirrorer", rules)

    def reset(self) -> None:
        super().reset()
        for server in (self.west, self.east):
            clear_services(server)
        self.west.request("POST", SERVICES, service())
        self.west.request(
            "POST", slices(self.west), slice_of(self.west, "web-x1", "10.1.1.7", "10.1.2.7")
        )

    def mirrored(self) -> dict[str, Any]:
        """Return what east has in the namespace: the ports of services, the pods of slices."""
        found: dict[str, Any] = {}
        for one in self.east.request("GET", SERVICES)["items"]:
            found[one["metadata"]["name"]] = [port["port"] for port in one["spec"]["ports"]]
        for one in self.east.request("GET", slices(self.east))["items"]:
            found[one["metadata"]["name"]] = {
                end["addresses"][0]: end["conditions"]["ready"] for end in one["endpoints"]
            }
        return found


def clear_services(server: ApiServer) -> None:
    namespaces = server.request("GET", "/api/v1/namespaces")["items"]
    if "shop" not in [one["metadata"]["name"] for one in namespaces]:
        server.request("POST", "/api/v1/namespaces", NAMESPACE)
    for collection in (SERVICES, slices(server)):
        for one in server.request("GET", collection)["items"]:
            server.request("DELETE", f"{collection}/{one['metadata']['name']}")


@pytest.fixture
def shops(api_server: ApiServer, other_api_server: ApiServer) -> Iterator[Shops]:
    yield Shops(api_server, other_api_server)
    for server in (api_server, other_api_server):
        clear_services(server)
        server.clear()


LINKED = {"web": [80], "web.west.ipv4-0": {"10.1.1.7": True, "10.1.2.7": True}}


def test_a_service_is_there_in_the_other_cluster_as_long_as_it_is_asked_for(shops: Shops) -> None:
    run = shops.run("link", *MIRROR)
    assert (run.returncode, run.stderr) == (0, "")
    assert "  + service shop/web\n  + endpointslice shop/web.west.ipv4-0\n" in run.stdout
    assert run.stdout.endswith("done: 5 added, 0 changed, 0 removed\n")
    assert shops.mirrored() == LINKED
    (one,) = shops.east.request("GET", slices(shops.east))["items"]
    assert one["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert shops.run("link", *MIRROR).stdout == "nothing to do\n"

    assert shops.run("link", "--yes").stdout == "nothing to do\n"
    pruned = shops.run("link", "--yes", "--prune")
    assert "  - service shop/web\n" in pruned.stdout
    assert shops.mirrored() == {}
    assert "east/link-west.eu" in shops.specs()


def test_pods_that_come_go_and_fall_silent_are_followed(shops: Shops) -> None:
    assert shops.run("link", *MIRROR).returncode == 0
    changed = slice_of(shops.west, "web-x1", "10.1.1.8", ready=False)
    shops.west.request("PUT", f"{slices(shops.west)}/web-x1", changed)
    run = shops.run("link", *MIRROR)
    assert "  ~ endpointslice shop/web.west.ipv4-0 (endpoints)\n" in run.stdout
    assert shops.mirrored()["web.west.ipv4-0"] == {"10.1.1.8": False}
    shops.west.request("DELETE", f"{slices(shops.west)}/web-x1")
    run = shops.run("link", *MIRROR)
    assert "  - endpointslice shop/web.west.ipv4-0\n" in run.stdout
    assert shops.mirrored() == {"web": [80]}
    shops.west.request("DELETE", f"{SERVICES}/web")
    run = shops.run("link", *MIRROR)
    assert run.stderr == "the service shop/web is gone: its mirrors are removed\n"
    assert shops.mirrored() == {}


def test_unlinking_takes_the_mirrors_away_and_nothing_else(shops: Shops) -> None:
    theirs = service()
    theirs["metadata"] = {"name": "other", "namespace": "shop"}
    shops.east.request("POST", SERVICES, theirs)
    assert shops.run("link", *MIRROR).returncode == 0
    run = shops.run("unlink", "--yes")
    assert (run.returncode, run.stderr) == (0, "")
    assert shops.mirrored() == {"other": [80]}
    assert [one["metadata"]["name"] for one in shops.west.request("GET", SERVICES)["items"]] == [
        "web"
    ]


def test_a_service_of_somebody_else_is_never_taken_over(shops: Shops) -> None:
    theirs = service()
    del theirs["spec"]["selector"]
    theirs["spec"]["ports"][0]["port"] = 443
    shops.east.request("POST", SERVICES, theirs)
    both = shops.run("link", *MIRROR)
    assert both.returncode == 1
    assert "west and east each have a service shop/web: choose the one" in both.stderr
    named = shops.run("link", "--yes", "--mirror", "west=shop/web")
    assert named.returncode == 1
    assert "the service shop/web of east exists, but kgctl link did not make it" in named.stderr
    assert shops.mirrored() == {"web": [443]}
    assert "east/link-west.eu" not in shops.specs()  # nothing was written


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ("web", "names no service; give [CLUSTER=]NAMESPACE/SERVICE"),
        ("north=shop/web", 'names the cluster "north", which is not linked here'),
        ("shop/wob", "none of the clusters has a service shop/wob to mirror"),
        ("east=shop/web", "east has no service shop/web to mirror"),
        ("default/kubernetes", "west and east each have a service default/kubernetes"),
    ],
)
def test_what_cannot_be_mirrored_is_said_before_anything_is_written(
    shops: Shops, mirror: str, said: str
) -> None:
    run = shops.run("link", "--yes", "--mirror", mirror)
    assert run.returncode == 1
    assert said in run.stderr
    assert run.stderr.count("\n") == 1
    assert shops.specs().keys() == {"east/laptop"}


def test_a_namespace_that_is_not_there_is_not_made(shops: Shops) -> None:
    space = {**NAMESPACE, "metadata": {"name": "only-west"}}
    with contextlib.suppress(RefusedError):  # it is there from an earlier run on this server
        shops.west.request("POST", "/api/v1/namespaces", space)
    moved = service()
    moved["metadata"]["namespace"] = "only-west"
    place = "/api/v1/namespaces/only-west/services"
    shops.west.request("POST", place, moved)
    try:
        run = shops.run("link", "--yes", "--mirror", "only-west/web")
        assert run.returncode == 1
        assert "east has no namespace only-west" in run.stderr
        assert "kubectl create namespace only-west" in run.stderr
    finally:
        shops.west.request("DELETE", f"{place}/web")


def test_pods_outside_of_what_is_shared_are_left_out(shops: Shops) -> None:
    shops.west.request(
        "POST", slices(shops.west), slice_of(shops.west, "web-x2", "192.0.2.7", "10.43.0.10")
    )
    run = shops.run("link", *MIRROR)
    assert run.returncode == 0
    assert "left out 2 endpoints of the service shop/web: no network that west" in run.stderr
    assert shops.mirrored() == LINKED


def test_who_may_not_read_services_is_told_what_grants_it(shops: Shops) -> None:
    rules = yaml.safe_load(ROLE.read_text())["rules"]
    plain = shops.east.user("linker", rules)
    run = shops.run("link", *MIRROR, east=plain)
    assert run.returncode == 1
    assert "kgctl help rbac link-services prints a role that grants it" in run.stderr
    assert shops.run("link", "--yes", east=plain).returncode == 0


def test_manifests_hold_what_stands_for_the_service(shops: Shops, tmp_path: Path) -> None:
    alone = shops.run("link", "--mirror", "shop/web", "-o", "yaml")
    assert "-o yaml writes a file for each cluster: add --directory DIR" in alone.stderr
    run = shops.run("link", "--mirror", "shop/web", "-o", "yaml", "-d", str(tmp_path))
    assert run.returncode == 0
    objects = list(yaml.safe_load_all((tmp_path / "east.yaml").read_text()))
    assert shops.run("link", "--mirror", "shop/web", "-o", "json", "-d", str(tmp_path)).stdout
    assert json.loads((tmp_path / "east.json").read_text())["items"] == objects
    kinds = [one["kind"] for one in objects]
    assert kinds == ["Peer", "Peer", "Service", "EndpointSlice"]
    assert shops.mirrored() == {}


def test_after_a_failure_at_any_write_the_next_run_does_the_rest(shops: Shops) -> None:
    def fail(proxy: FaultyProxy, through: Path, write: int, carried_out: bool) -> None:
        fault = done_and_unsaid if carried_out else Request.hang_up
        proxy.faults[:] = [pass_reads_then(fault, write)] * 40
        failed = shops.run("link", *MIRROR, east=through)
        assert failed.returncode == 1, (write, failed.stdout, failed.stderr)
        assert f"{1 + write} of 5 steps were done" in failed.stderr

    assert_finished_by_the_next_run(shops, fail)


def test_a_run_that_is_killed_at_any_write_is_finished_by_the_next_one(shops: Shops) -> None:
    def kill(proxy: FaultyProxy, through: Path, write: int, carried_out: bool) -> None:
        running: list[subprocess.Popen[bytes]] = []
        fault = partial(killing, running, carried_out)
        proxy.faults[:] = [pass_reads_then(fault, write)] * 40
        command = shops.command("link", *MIRROR, east=through)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            running.append(process)
            assert process.wait(timeout=60) == -signal.SIGKILL

    assert_finished_by_the_next_run(shops, kill)


def assert_finished_by_the_next_run(
    shops: Shops, interrupt: Callable[[FaultyProxy, Path, int, bool], None]
) -> None:
    """Interrupt a run at each write to east, before and after it is carried out; then run again."""
    token = shops.east.users.with_token("admin")
    with FaultyProxy(shops.east.url, shops.east.ca) as proxy:
        through = shops.east.write_kubeconfig("faulty", token, url=proxy.url)
        shops.run("link", *MIRROR, east=through)
        linked = shops.specs(), shops.mirrored()
        for write in range(4):  # two peers, the service, its slice
            for carried_out in (False, True):
                shops.reset()
                interrupt(proxy, through, write, carried_out)
                proxy.faults.clear()
                before = shops.specs(), shops.mirrored()
                assert before != linked or (carried_out and write == 3)
                assert shops.run("link", *MIRROR, east=through).returncode == 0
                assert (shops.specs(), shops.mirrored()) == linked


def killing(running: list[subprocess.Popen[bytes]], carried_out: bool, request: Request) -> None:
    """Kill who asks, before or after what was asked is done."""
    if carried_out:
        done_and_unsaid(request)
    running[0].kill()
    request.hang_up()


def pass_reads_then(fault: Any, write: int) -> Any:
    """Return what passes on every request but the write of that number."""
    seen = [0]

    def act(request: Request) -> None:
        if request.command == "GET":
            request.pass_on()
            return
        number, seen[0] = seen[0], seen[0] + 1
        (fault if number == write else Request.pass_on)(request)

    return act


def test_watching_follows_pods(shops: Shops) -> None:
    with shops.watching(*MIRROR):
        wait_for(lambda: shops.mirrored() == LINKED)
        started = time.monotonic()
        shops.west.request(
            "PUT", f"{slices(shops.west)}/web-x1", slice_of(shops.west, "web-x1", "10.1.1.9")
        )
        wait_for(lambda: shops.mirrored()["web.west.ipv4-0"] == {"10.1.1.9": True})
        print(f"followed after {time.monotonic() - started:.2f} s")
