"""Only ``kgctl.files`` creates, changes or removes files, so its rules hold everywhere."""

from __future__ import annotations

import ast
from pathlib import Path

import kgctl

ROOT = Path(kgctl.__file__).parent
WRITERS = frozenset(
    [
        "write_text",
        "write_bytes",
        "mkstemp",
        "mkdtemp",
        "NamedTemporaryFile",
        "TemporaryFile",
        "mkdir",
        "makedirs",
        "symlink_to",
        "hardlink_to",
        "touch",
        "rename",
        "chmod",
        "unlink",
        "rmdir",
        "rmtree",
        "mkfifo",
    ]
)
ALLOWED = {
    "__main__.py: open(os.devnull, 'w')",
    "cli/core/output.py: os.open(os.devnull, os.O_WRONLY)",
    "host/record.py: os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)",
    "host/sysctls.py: os.open(self._path(name), os.O_WRONLY)",  # a kernel parameter is no file
}


def writes(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    if name in WRITERS or ast.unparse(function) in ("os.open", "os.replace", "os.link"):
        return True
    if name != "open":
        return False
    modes = [
        one.value
        for one in (*call.args, *(word.value for word in call.keywords))
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    return any(mode and set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)


def found(text: str) -> list[str]:
    tree = ast.parse(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if writes(call)]


def test_nothing_else_writes() -> None:
    elsewhere = {
        f"{path.relative_to(ROOT).as_posix()}: {call}"
        for path in ROOT.rglob("*.py")
        if "files" not in path.relative_to(ROOT).parts[:-1]
        for call in found(path.read_text(encoding="utf-8"))
    }
    assert elsewhere == ALLOWED


def test_what_writes_is_found() -> None:
    for text in ("path.open('wb')", "open(name, mode='a')", "path.write_text(x)", "os.open(x, y)"):
        assert found(text) == [text]
    for text in ("path.open('rb')", "api.open('GET', path)", "name.replace('a', 'b')"):
        assert found(text) == []
