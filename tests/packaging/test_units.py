"""The shipped service files: hardened, with one capability."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
UNIT = PACKAGING / "systemd" / "kgctl-connect@.service"
AGENT = PACKAGING / "systemd" / "kgctl-agent.service"
IMAGES = (PACKAGING / "Containerfile", PACKAGING / "Containerfile.agent")
USERS = PACKAGING / "sysusers.d" / "kgctl.conf"
RULES = PACKAGING / "polkit" / "kgctl-connect.rules"
EXPOSURE = 2.5  # of 10, as systemd-analyze counts; it needs the network and CAP_NET_ADMIN


def settings(unit: Path = UNIT) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    text = unit.read_text().replace("\\\n", " ")
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


def test_the_agent_has_two_capabilities_and_no_more() -> None:
    unit = settings(AGENT)
    assert unit["CapabilityBoundingSet"] == ["CAP_NET_ADMIN CAP_NET_RAW"]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["StateDirectory"] == ["kilo"]  # of the key


def test_its_user_is_one_that_d_bus_knows() -> None:
    """dbus-daemon refuses dynamic users, and with them --dns, at least on Debian 12."""
    unit = settings()
    assert "DynamicUser" not in unit
    lines = [line for line in USERS.read_text().splitlines() if line and not line.startswith("#")]
    assert [line.split()[:3] for line in lines] == [["u", *unit["User"], "-"]]


def test_what_dynamic_users_imply_is_set() -> None:
    """systemd.exec(5), DynamicUser=: it implies these, as a user that goes must leave no files."""
    unit = settings()
    for name in ("NoNewPrivileges", "PrivateTmp", "RemoveIPC", "RestrictSUIDSGID"):
        assert unit[name] == ["yes"], name
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["ProtectHome"] == ["yes"]


@pytest.mark.needs("systemd-sysusers")
def test_systemd_makes_its_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", str(USERS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    (entry,) = (
        line for line in (tmp_path / "etc/passwd").read_text().splitlines() if "kgctl" in line
    )
    name, _, number, *_, shell = entry.split(":")
    assert name == "kgctl"
    assert 0 < int(number) < 1000  # a system user, and none of systemd's dynamic ones
    assert shell.endswith("nologin")


def test_polkit_allows_its_user_what_resolvectl_needs() -> None:
    """Nothing else, and nobody else."""
    (user,) = settings()["User"]
    text = RULES.read_text()
    assert f'subject.user === "{user}"' in text
    assert set(re.findall(r'"(org\.[^"]+)"', text)) == {
        f"org.freedesktop.resolve1.{one}" for one in ("set-dns-servers", "set-domains", "revert")
    }


@pytest.mark.needs("node")
@pytest.mark.parametrize(
    ("user", "action", "answer"),
    [
        ("kgctl", "org.freedesktop.resolve1.set-dns-servers", "yes"),
        ("kgctl", "org.freedesktop.resolve1.revert", "yes"),
        ("kgctl", "org.freedesktop.login1.reboot", "not handled"),
        ("somebody", "org.freedesktop.resolve1.set-dns-servers", "not handled"),
    ],
)
def test_the_rule_of_polkit_decides(user: str, action: str, answer: str) -> None:
    polkit = """
        const polkit = {Result: {YES: "yes", NOT_HANDLED: "not handled"}, addRule: f => rule = f};
        var rule;
    """
    asked = f'process.stdout.write(rule({{id: "{action}"}}, {{user: "{user}"}}));'
    script = polkit + RULES.read_text() + asked
    done = subprocess.run(
        ["node", "-e", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == (answer, "")


def test_its_command_line_is_one_of_kgctl_s(tmp_path: Path) -> None:
    from tests.support.recorded import kgctl

    (start,) = settings()["ExecStart"]
    argv = start.replace("%i", "laptop").replace("$KGCTL_OPTIONS", "--mtu 1").split()
    assert argv[0].endswith("/kgctl")
    code, _, errors = kgctl(*argv[1:])
    assert code == 1
    assert "--mtu must be" in errors  # every flag before it was known


def test_the_command_line_of_the_agent_is_one_of_kgctl_s() -> None:
    from tests.support.recorded import kgctl

    (start,) = settings(AGENT)["ExecStart"]
    argv = start.replace("$KGCTL_OPTIONS", "--hostname x --mtu 1").split()
    code, _, errors = kgctl(*argv[1:])
    assert code == 1
    assert "--mtu must be" in errors


def analyzed(verb: str, *options: str, unit: Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", verb, *options, str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.fixture(params=[UNIT, AGENT], ids=lambda path: path.stem)
def installed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A unit, as an instance if it has instances, with a program that is there."""
    source: Path = request.param
    unit = tmp_path / source.name.replace("@", "@laptop")
    unit.write_text(source.read_text().replace("/usr/bin/kgctl", "/bin/true"))
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


def instructions(image: Path) -> list[list[str]]:
    """Return the words of each instruction of a Containerfile."""
    text = image.read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_the_image_is_made_of_what_is_there(image: Path) -> None:
    """It is never built in the tests: no registry of images is asked."""
    root = PACKAGING.parent
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {words[0] for words in instructions(image)} <= known
    stages = [words[3] for words in instructions(image) if words[0] == "FROM" and "AS" in words]
    for words in instructions(image):
        if words[0] == "COPY" and words[1].startswith("--from="):
            assert words[1].removeprefix("--from=") in stages
        elif words[0] == "COPY":
            assert all((root / source).exists() for source in words[1:-1]), words
    with (root / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    copied = {
        source for words in instructions(image) if words[0] == "COPY" for source in words[1:-1]
    }
    assert {"pyproject.toml", "kgctl", project["project"]["readme"]} <= copied
    assert "kgctl" in project["project"]["scripts"]


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_the_image_runs_kgctl_itself(image: Path) -> None:
    assert ["ENTRYPOINT", '["kgctl"]'] in instructions(image)  # no shell: signals reach it
    assert ["STOPSIGNAL", "SIGTERM"] in instructions(image)


def test_the_image_tells_how_little_it_needs() -> None:
    text = (PACKAGING / "Containerfile").read_text()
    assert "--cap-drop ALL --cap-add NET_ADMIN" in text
    assert "no-new-privileges" in text
