"""Dependencies of packaging/: pinned by hashes, and complete for kgctl."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
IMAGES = (PACKAGING / "Containerfile", PACKAGING / "Containerfile.agent")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
FILES = ["requirements.txt", "build-requirements.txt"]


def pins(name: str) -> dict[str, Requirement]:
    """Return the requirements of a file, by name, and make sure that each has hashes."""
    text = (PACKAGING / name).read_text(encoding="ascii").replace("\\\n", " ")
    found: dict[str, Requirement] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            words, *hashes = re.split(r"\s+(?=--hash)", line.strip())
            assert hashes, line
            assert all(HASH.fullmatch(one) for one in hashes), line
            requirement = Requirement(words)
            found[canonicalize_name(requirement.name)] = requirement
    return found


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@pytest.mark.parametrize("name", FILES)
def test_each_package_has_one_version_and_hashes(name: str) -> None:
    found = pins(name)
    assert len(found) > 5
    for one in found.values():
        (specifier,) = one.specifier
        assert specifier.operator == "=="
        assert one.url is None


def test_what_kgctl_needs_is_pinned_to_a_version_that_it_takes() -> None:
    found, about = pins("requirements.txt"), project()["project"]
    wanted = [*about["dependencies"], *about["optional-dependencies"]["serve"]]
    assert len(wanted) > 8
    for requirement in map(Requirement, wanted):
        (version,) = found[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(version.version), requirement


def test_what_builds_it_is_pinned() -> None:
    found = pins("build-requirements.txt")
    source = (PACKAGING / "build-requirements.in").read_text().splitlines()
    wanted = [line for line in source if not line.startswith("#")]
    assert set(project()["build-system"]["requires"]) <= set(wanted)
    for requirement in map(Requirement, wanted):
        (version,) = found[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(version.version), requirement


@pytest.mark.parametrize("name", FILES)
def test_what_those_need_is_pinned_too(name: str) -> None:
    """As far as it is installed here; pip refuses whatever has no hash."""
    found, looked_at = pins(name), 0
    for package in found:
        try:
            needed = requires(package) or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, needed):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in found, f"{package}: {requirement}"
                looked_at += 1
    assert looked_at > 3


def test_nothing_is_installed_without_its_hash() -> None:
    script = (PACKAGING / "install").read_text()
    installs = [line for line in script.splitlines() if re.search(r"\bpip\b.* install ", f" {line}")
                or line.startswith("pip install")]  # fmt: skip
    assert len(installs) == 3
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-index" in line, line
    for image in IMAGES:
        lines = image.read_text().splitlines()
        commands = "\n".join(line for line in lines if not line.startswith("#"))
        assert "pip" not in commands
        assert "RUN packaging/install /opt/kgctl" in commands


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_the_base_image_is_named_by_a_digest_that_is_asked_for(image: Path) -> None:
    lines = image.read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", " "))]
    bases = [line.split()[1] for line in commands if line.startswith("FROM ")]
    assert bases == ["${BASE_IMAGE}"] * 2
    assert commands.index("ARG BASE_IMAGE") < commands.index("FROM ${BASE_IMAGE} AS build")
    assert not [line for line in commands if line.startswith("ARG BASE_IMAGE=")]
    assert "    *@sha256:*) ;; \\" in lines


def test_nobody_is_told_to_install_a_package_that_is_not_ours() -> None:
    """The name kgctl on PyPI is not taken: whoever takes it would be run."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *(ROOT / "kgctl").rglob("*.py")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(pipx?|uv tool|uv pip) install [^\n]*\bkgctl\b(?!/)", text), page
