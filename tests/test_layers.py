"""Limits of lower layers: no option, rule of ``check`` or mesh file key below ``cli``.

Texts of a lower layer also reach users of the Python API, and of other commands. So errors carry
data, and ``kgctl/cli/core/hints.py`` and ``kgctl/diagnosis`` add the hints. import-linter checks
the imports of layers; these tests check their texts.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kgctl
from kgctl.link.mesh_format import mesh_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(kgctl.__file__).parent
WORDED = ("cli", "diagnosis")
"""The packages that put words to what the others carry."""

MODULES = sorted(
    path
    for package in PACKAGE.iterdir()
    if package.is_dir() and package.name not in (*WORDED, "__pycache__")
    for path in package.rglob("*.py")
)

OPTION = re.compile(r"(?<![\w-])--[a-z]")
RULE = re.compile(r"\bKG[0-9]{3}\b")
OTHER_PROGRAM = re.compile(r"(?:\b(?:docker|git|iptables-restore|kg|kubectl)\b|-m comment)[^;:()]*")
"""An option of another program stands behind that program's name, as in ``kg --subnet``.

In the words of a rule of iptables, it stands behind the name of the extension.
"""


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with their lines, docstrings too.

    Of an f-string it is the whole, with ``{}`` for a value. The texts that one call is given are
    one, behind the name of what is called: ``_git("log", "--oneline")`` is ``git log --oneline``.
    """
    taken: set[int] = set()
    for node in ast.walk(tree):  # what is around comes before what is in it
        if isinstance(node, ast.Call):
            given = [(one, text) for one in node.args if (text := literal(one)) is not None]
            if given:
                called = ast.unparse(node.func).rpartition(".")[2].lstrip("_")
                taken.update(id(inner) for one, _ in given for inner in ast.walk(one))
                yield node.lineno, " ".join([called, *(text for _, text in given)])
        elif id(node) not in taken and (text := literal(node)) is not None:
            if isinstance(node, ast.JoinedStr):
                taken.update(id(one) for one in node.values if isinstance(one, ast.Constant))
            yield node.lineno, text  # type: ignore[attr-defined]  # it is an expression


def literal(node: ast.AST) -> str | None:
    """Return the text of a string or an f-string, or None of anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(one) or "{}" for one in node.values)
    return None


def said(path: Path, wrong: re.Pattern[str]) -> list[str]:
    """Return where a module says what it must not."""
    found = texts(ast.parse(path.read_text(encoding="utf-8")))
    return [
        f"{path.relative_to(PACKAGE)}:{line}: {hit[0]!r} in {text!r}"
        for line, text in found
        if (hit := wrong.search(OTHER_PROGRAM.sub("", text)))
    ]


def keys_of_the_mesh_file() -> re.Pattern[str]:
    """Return what finds keys of the mesh file in a text: those that are no English words."""
    found: set[str] = set()
    rest: list[object] = [mesh_schema()]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            found.update(one.get("properties", {}))
            rest += one.values()
        elif isinstance(one, list):
            rest += one
    names = {name for name in found if name != name.lower()} - {"apiVersion"}  # Kubernetes' own
    assert {"serviceCIDRs", "presharedKeys"} <= names
    return re.compile(rf"\b(?:{'|'.join(sorted(names))}|share\.[a-z]+)\b")


@pytest.mark.parametrize("wrong", [OPTION, RULE], ids=["option", "rule"])
def test_no_lower_layer_names_an_option_or_a_rule(wrong: re.Pattern[str]) -> None:
    assert [line for path in MODULES for line in said(path, wrong)] == []


def test_only_the_modules_of_the_mesh_file_name_its_keys() -> None:
    keys = keys_of_the_mesh_file()
    others = [path for path in MODULES if not path.match("link/mesh*.py")]
    assert [line for path in others for line in said(path, keys)] == []


def test_kube_knows_nothing_of_kilo() -> None:
    kilo = re.compile(r"kilo|\bpeers?\b", re.IGNORECASE)
    modules = [path for path in MODULES if path.is_relative_to(PACKAGE / "kube")]
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text!r}"
        for path in modules
        for line, text in texts(without_docstrings(path))
        if kilo.search(text)
    ]
    assert found == []


def without_docstrings(path: Path) -> ast.AST:
    """Return a module without the strings that stand for themselves."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for _, body in ast.iter_fields(node):
            if isinstance(body, list):
                body[:] = [
                    one
                    for one in body
                    if not (isinstance(one, ast.Expr) and literal(one.value) is not None)
                ]
    return tree


@pytest.mark.parametrize(
    ("code", "is_one"),
    [
        ('x = "give --pool"', True),
        ('x = "give a larger one (kg --subnet)"', False),
        ('x = "kubectl get nodes; else --pool"', True),
        ("x = f'kubectl patch {name} --type merge'", False),
        ("x = f'{name}: --force'", True),
        ('_git("log", "--oneline")', False),
        ('raise KgctlError(f"{found}; or --force", field="forced")', True),
        ('"""As ``--only`` has it."""', True),
        ('x = "a--b"', False),
    ],
)
def test_what_counts_as_an_option(code: str, is_one: bool) -> None:
    found = [OTHER_PROGRAM.sub("", text) for _, text in texts(ast.parse(code))]
    assert any(map(OPTION.search, found)) is is_one
