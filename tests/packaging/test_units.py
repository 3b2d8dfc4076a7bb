"""The shipped service files: hardened, with one capability."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
UNIT = PACKAGING / "systemd" / "kgctl-connect@.service"
EXPOSURE = 2.5  # of 10, as systemd-analyze counts; it needs the network and CAP_NET_ADMIN


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    text = UNIT.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_one_capability_and_no_new_privileges() -> None:
    unit = settings()
    assert unit["AmbientCapabilities"] == ["CAP_NET_ADMIN"]
    assert unit["CapabilityBoundingSet"] == ["CAP_NET_ADMIN"]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["DynamicUser"] == ["yes"]


def test_its_command_line_is_one_of_kgctl_s(tmp_path: Path) -> None:
    from tests.support.recorded import kgctl

    (start,) = settings()["ExecStart"]
    argv = start.replace("%i", "laptop").replace("$KGCTL_OPTIONS", "--mtu 1").split()
    assert argv[0].endswith("/kgctl")
    code, _, errors = kgctl(*argv[1:])
    assert code == 1
    assert "--mtu must be" in errors  # every flag before it was known


def analyzed(verb: str, *options: str, unit: Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", verb, *options, str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as an instance, with a program that is there."""
    unit = tmp_path / "kgctl-connect@laptop.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/kgctl", "/bin/true"))
    return unit


@pytest.mark.needs("systemd-analyze")
def test_systemd_finds_no_fault(installed: Path) -> None:
    said = analyzed("verify", "--man=no", unit=installed)
    assert not [line for line in said.splitlines() if installed.name in line], said


@pytest.mark.needs("systemd-analyze")
def test_systemd_counts_it_as_hardly_exposed(installed: Path) -> None:
    said = analyzed("security", "--offline=true", "--no-pager", unit=installed)
    match = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert match is not None, said
    assert float(match[1]) <= EXPOSURE


def instructions() -> list[list[str]]:
    """Return the words of each instruction of the Containerfile."""
    text = (PACKAGING / "Containerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_is_made_of_what_is_there() -> None:
    """It is never built in the tests: no registry of images is asked."""
    root = PACKAGING.parent
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {words[0] for words in instructions()} <= known
    stages = [words[3] for words in instructions() if words[0] == "FROM" and "AS" in words]
    for words in instructions():
        if words[0] == "COPY" and words[1].startswith("--from="):
            assert words[1].removeprefix("--from=") in stages
        elif words[0] == "COPY":
            assert all((root / source).exists() for source in words[1:-1]), words
    with (root / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    copied = {source for words in instructions() if words[0] == "COPY" for source in words[1:-1]}
    assert {"pyproject.toml", "kgctl", project["project"]["readme"]} <= copied
    assert "kgctl" in project["project"]["scripts"]


def test_the_image_runs_kgctl_itself() -> None:
    assert ["ENTRYPOINT", '["kgctl"]'] in instructions()  # no shell: signals reach it
    assert ["STOPSIGNAL", "SIGTERM"] in instructions()
    text = (PACKAGING / "Containerfile").read_text()
    assert "--cap-drop ALL --cap-add NET_ADMIN" in text
    assert "no-new-privileges" in text
