""".ci/install-tools on a machine without a tool: its messages, with a reduced PATH."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "install-tools"
OWN_TOOLS = ("bash", "id", "paste", "sed", "sort")
"""What the script itself runs."""

pytestmark = pytest.mark.needs(*OWN_TOOLS)


def install_tools(
    bin_directory: Path, manager: str, *args: str, ci: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it where just its own tools and a package manager are, which must not be called."""
    for tool in OWN_TOOLS:
        (bin_directory / tool).symlink_to(str(shutil.which(tool)))
    if manager:
        program = bin_directory / manager
        program.write_text("#!/usr/bin/env bash\necho a package manager was run >&2\nexit 1\n")
        program.chmod(0o755)
    return subprocess.run(
        [str(shutil.which("bash")), str(SCRIPT), *args],
        env={"PATH": str(bin_directory), "SBIN": "", "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("dnf", "sudo dnf install graphviz"),
        ("brew", "brew install graphviz"),
        ("pacman", "sudo pacman -S graphviz"),
    ],
)
def test_it_names_what_is_missing_and_the_command_that_installs_it(
    tmp_path: Path, manager: str, command: str
) -> None:
    done = install_tools(tmp_path, manager, "required", "dot", "unheard-of", "bash")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Not found: dot, unheard-of",
        f"Install with: {command}",
    ]


def test_without_a_manager_it_names_every_command(tmp_path: Path) -> None:
    done = install_tools(tmp_path, "", "required", "dot")
    assert done.returncode == 1
    assert "  apt: sudo apt-get install graphviz" in done.stderr.splitlines()
    assert "  brew: brew install graphviz" in done.stderr.splitlines()


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_what_is_only_wanted_fails_on_ci_alone(tmp_path: Path, ci: str, code: int) -> None:
    assert install_tools(tmp_path, "dnf", "wanted", "dot", ci=ci).returncode == code


def test_what_is_there_is_not_mentioned(tmp_path: Path) -> None:
    done = install_tools(tmp_path, "dnf", "required", "bash", "sed")
    assert (done.returncode, done.stderr) == (0, "")
