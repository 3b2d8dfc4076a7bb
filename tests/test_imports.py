"""Imports: nothing that only Linux has, and nothing slow before it is needed."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import kgctl

NOT_EVERYWHERE = (
    *("_curses", "_posixsubprocess", "crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev"),
    *("pty", "pwd", "readline", "resource", "spwd", "syslog", "termios", "tty", "pyroute2"),
)
"""Modules that Windows lacks, most of them; macOS lacks some."""

HEAVY = ("graphviz", "http", "kubernetes", "msgspec", "nacl", "rich", "ssl", "typer", "yaml")

FOR_LINUX_ALONE = ("kgctl.host",)
"""Packages about the links and routes of a Linux machine."""

BLOCK = f"""
import subprocess, sys  # of the standard library, which knows by itself where it runs

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in {NOT_EVERYWHERE!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} on this system", name=name)

for name in {NOT_EVERYWHERE!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocked())
"""

COMMANDS = [
    ["--example", "graph"],
    ["--example", "get", "nodes"],
    ["--example", "get", "peers", "-o", "yaml"],
    ["--example", "get", "segments", "-o", "json"],
    ["--example", "showconf", "node", "aws-1"],
    ["--example", "showconf", "peer", "laptop", "-o", "wg-quick"],
    ["--example", "showconf", "peer", "laptop", "--as-peer", "-o", "yaml"],
    ["--example", "path", "aws-2", "laptop"],
    ["--example", "diff", "--set", "node/aws-1:leader=true", "-o", "json"],
    ["completion", "powershell"],
]


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def new_modules(code: str, *arguments: str) -> set[str]:
    """Return the modules that ``code`` imports into a fresh interpreter."""
    listing = "print(*sorted(set(sys.modules) - before))"
    done = run(f"import sys; before = set(sys.modules); {code}; {listing}", *arguments)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_every_module_can_be_imported_everywhere() -> None:
    names = [
        module.name
        for module in pkgutil.walk_packages(kgctl.__path__, "kgctl.")
        if not module.name.startswith(FOR_LINUX_ALONE)
    ]
    assert len(names) > 50
    done = run(
        f"{BLOCK}\nimport importlib\nfor name in sys.argv[1:]: importlib.import_module(name)",
        *names,
    )
    assert done.returncode == 0, done.stderr


def test_the_block_blocks() -> None:
    done = run(f"{BLOCK}\nimport termios")
    assert "No module named 'termios' on this system" in done.stderr


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_commands_run_everywhere(arguments: list[str]) -> None:
    done = run(f"{BLOCK}\nfrom kgctl.__main__ import main\nsys.exit(main())", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


def test_importing_kgctl_imports_nothing_else() -> None:
    assert new_modules("import kgctl") == {"kgctl"}


def test_the_version_costs_no_import() -> None:
    new = new_modules("from kgctl.__main__ import main; main()", "--version")
    assert {name for name in new if name.startswith("kgctl")} == {"kgctl", "kgctl.__main__"}
    assert not {name.partition(".")[0] for name in new} & {*HEAVY, "asyncio", "typing"}


def test_an_answer_costs_no_import_of_what_it_does_not_use() -> None:
    code = "import sys; from kgctl.__main__ import main; main()"
    new = new_modules(code, "--example", "get", "nodes", "-o", "name")
    assert not {name.partition(".")[0] for name in new} & {"graphviz", "kubernetes", "nacl", "rich"}
    assert not {"http.client", "ssl", "subprocess", "yaml"} & new


def test_a_check_of_files_imports_nothing_for_a_network() -> None:
    code = "import sys; from kgctl.cli.core.app import run; run(sys.argv[1:])"
    new = new_modules(code, "--example", "check")
    assert "kgctl.diagnosis.check" in new
    assert not {"importlib.resources", "ssl", "socket"} & new  # Typer imports subprocess
