"""``kgctl link -f FILE`` on manifests: output, writes and errors."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.link.mesh_format import mesh_schema
from tests.api.test_link import node
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("eu", "us", "edge")
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES, 1):
        node_of = node(f"{name}-1", number, 1, "x")
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(node_of))
    write(tmp_path)
    return tmp_path


def write(directory: Path, **more: Any) -> str:
    clusters = [{"name": name, "manifests": [f"{name}.yaml"]} for name in NAMES]
    mesh = {"apiVersion": "kgctl.dev/v1alpha1", "kind": "Mesh", "clusters": clusters, **more}
    path = directory / "mesh.yaml"
    path.write_text(yaml.safe_dump(mesh))
    return str(path)


def written(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the specs of all Peers that were written, by cluster and name."""
    return {
        f"{file.stem}/{one['metadata']['name']}": one["spec"]
        for file in directory.iterdir()
        for one in yaml.safe_load_all(file.read_text())
    }


def steps_of(plan: str) -> str:
    """Return a plan without what it says of each Peer."""
    return "".join(one for one in plan.splitlines(keepends=True) if one[:6] != " " * 6)


def test_a_spoke_is_linked_with_the_hub_alone(directory: Path) -> None:
    file = write(directory, topology={"hubs": ["eu"]})
    plan = kgctl("link", "-f", file, "--dry-run")
    assert steps_of(plan.stdout) == (
        "eu:\n  + peer link-edge.x\n  + peer link-us.x\nus:\n  + peer link-eu.x\nedge:\n"
        "  + peer link-eu.x\n4 to add, 0 to change, 0 to remove (dry run)\n"
    )
    out = directory / "out"
    assert kgctl("link", "-f", file, "-d", str(out)).code == 0
    specs = written(out)
    assert set(specs) == {"eu/link-edge.x", "eu/link-us.x", "us/link-eu.x", "edge/link-eu.x"}
    assert specs["us/link-eu.x"]["allowedIPs"][-3:] == [
        "10.3.1.0/24", "172.19.0.1/32", "10.103.0.1/32",
    ]  # fmt: skip


def test_the_file_and_the_command_line_say_the_same(directory: Path) -> None:
    clusters = [f"{name}={directory / name}.yaml" for name in NAMES]
    by_arguments = directory / "arguments"
    by_file = directory / "file"
    assert kgctl("link", *clusters, "-d", str(by_arguments)).code == 0
    assert kgctl("link", "-f", str(directory / "mesh.yaml"), "-d", str(by_file)).code == 0
    assert written(by_arguments) == written(by_file)
    assert len(written(by_file)) == 6


def test_links_that_the_file_does_not_name_are_told_and_stay(directory: Path) -> None:
    out = directory / "out"
    assert kgctl("link", "-f", write(directory), "-d", str(out)).code == 0
    with (directory / "eu.yaml").open("a") as file:
        file.write("---\n" + (out / "eu.yaml").read_text())
    mesh = yaml.safe_load((directory / "mesh.yaml").read_text())
    del mesh["clusters"][2]
    (directory / "mesh.yaml").write_text(yaml.safe_dump(mesh))
    run = kgctl("link", "-f", str(directory / "mesh.yaml"), "--dry-run", "--prune")
    assert steps_of(run.stdout) == (
        "us:\n  + peer link-eu.x\n1 to add, 0 to change, 0 to remove (dry run)\n"
    )
    assert run.stderr == (
        "eu has links to edge, which the file does not name; they stay until: kgctl unlink eu "
        "edge\n"
    )


def test_keys_of_files_are_in_the_manifests_and_nowhere_else(directory: Path) -> None:
    (directory / "psk").write_text(f"{KEY}\n")
    (directory / "psk").chmod(0o600)
    pairs = [{"clusters": ["us", "eu"], "file": "psk"}]
    file = write(directory, presharedKeys={"pairs": pairs})
    out = directory / "out"
    runs = [kgctl("link", "-f", file, "--dry-run"), kgctl("link", "-f", file, "-d", str(out))]
    assert [run.code for run in runs] == [0, 0]
    assert not any(KEY in run.stdout + run.stderr for run in runs)
    keys = {place: spec.get("presharedKey") for place, spec in written(out).items()}
    assert keys.pop("eu/link-us.x") == keys.pop("us/link-eu.x") == KEY
    assert set(keys.values()) == {None}
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    (directory / "psk").write_text(f"{KEY[:-2]}x\n")
    wrong = kgctl("link", "-f", file, "--dry-run")
    assert "holds no WireGuard preshared key" in wrong.stderr
    assert KEY[:10] not in wrong.stderr
    (directory / "psk").unlink()
    assert "cannot read the preshared key" in kgctl("link", "-f", file, "--dry-run").stderr


def test_what_cannot_be_done_is_said(directory: Path) -> None:
    file = str(directory / "mesh.yaml")
    generated = write(directory, presharedKeys="generate")
    for arguments, words in (
        (("link", "-f", generated, "--dry-run"), "eu was read from files, which hold no preshared"),
        (("link", "-f", file, "a", "b"), "the mesh file sets clusters, networks, services"),
        (("link", "-f", file, "--service-cidr", "eu=10.0.0.0/8"), "give only -f FILE"),
        (("link", "-f", file, "--context", "x"), "omit --context, --cluster and --example"),
        (("-f", file, "link", "-f", file), "omit --context, --cluster and --example"),
        (("link", "-f", file, "--watch"), "add --yes"),
        (("link", "a", "b", "--rotate-preshared-keys"), "needs a mesh file"),
        (("link", "-f", "/nowhere"), "cannot read /nowhere: No such file or directory"),
        (("link",), "give two clusters or more"),
    ):
        run = kgctl(*arguments)
        assert (run.code, run.stdout) == (1, "")
        assert words in run.stderr
    plain = write(directory)
    none = kgctl("link", "-f", plain, "--rotate-preshared-keys", "--dry-run")
    assert "there are no preshared keys to rotate" in none.stderr
    files = kgctl("link", "-f", plain, "--yes")
    assert "eu was read from files, which link does not change" in files.stderr


def test_a_fault_in_the_file_is_one_line_with_its_place(directory: Path) -> None:
    file = write(directory, topology={"hubs": ["edg"]})
    run = kgctl("unlink", "-f", file)
    assert run.code == 1
    assert run.stderr.startswith(f"{file}:")
    assert run.stderr.endswith(': there is no cluster "edg"; did you mean "edge"?\n')
    assert run.stderr.count("\n") == 1


def test_unlinking_by_the_file_removes_nothing_where_nothing_is(directory: Path) -> None:
    run = kgctl("unlink", "-f", str(directory / "mesh.yaml"))
    assert (run.code, run.stdout) == (0, "nothing to do\n")


def test_the_schema_is_printed() -> None:
    run = kgctl("link", "--schema")
    assert (run.code, json.loads(run.stdout)) == (0, mesh_schema())
