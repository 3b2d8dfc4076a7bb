"""The contents of a wheel: licences of everything in it, and a list of bundled code."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kgctl

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "kgctl" / "render" / "page" / "vendor"
INFO = f"kgctl-{kgctl.__version__}.dist-info"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a wheel and an archive of the sources, made as pip makes them."""
    place = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(place)],
        cwd=ROOT,
        check=True,
        timeout=120,
        capture_output=True,
    )
    return place


@pytest.fixture(scope="module")
def wheel(built: Path) -> dict[str, bytes]:
    """The files of the wheel."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    return Parser().parsestr(wheel[f"{INFO}/METADATA"].decode())


def test_the_licence_is_an_expression_with_the_file_of_each(
    wheel: dict[str, bytes], metadata: Message
) -> None:
    version = tuple(map(int, metadata["Metadata-Version"].split(".")))
    assert version >= (2, 4)  # PEP 639
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    assert metadata["License"] is None
    assert not [one for one in metadata.get_all("Classifier", []) if one.startswith("License")]
    files = metadata.get_all("License-File", [])
    assert sorted(files) == ["LICENSE", "kgctl/render/page/vendor/cytoscape.LICENSE"]
    for name in files:
        assert wheel[f"{INFO}/licenses/{name}"] == (ROOT / name).read_bytes()
    assert b"Permission is hereby granted" in wheel[f"{INFO}/licenses/{files[1]}"]
    assert b"Apache License" in wheel[f"{INFO}/licenses/{files[0]}"]


def test_a_page_holds_the_licence_of_what_it_bundles() -> None:
    page = (VENDOR / "cytoscape.min.js").read_text(encoding="utf-8")[:2000]
    words = " ".join(page.replace("*", " ").split())
    licence = " ".join((VENDOR / "cytoscape.LICENSE").read_text(encoding="utf-8").split())
    assert licence[:600] in words


def test_what_is_bundled_is_listed(wheel: dict[str, bytes]) -> None:
    listed = json.loads(wheel[f"{INFO}/sboms/cytoscape.cdx.json"])
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    (one,) = listed["components"]
    content = wheel["kgctl/render/page/vendor/cytoscape.min.js"]
    assert one["hashes"] == [{"alg": "SHA-512", "content": hashlib.sha512(content).hexdigest()}]
    lock = json.loads((ROOT / "tests" / "browser" / "package-lock.json").read_text())
    assert one["version"] == lock["packages"]["node_modules/cytoscape"]["version"]
    assert one["purl"] == f"pkg:npm/cytoscape@{one['version']}"
    assert [each["license"]["id"] for each in one["licenses"]] == ["MIT"]
    vendored = {path.name for path in VENDOR.glob("*.js")}
    assert vendored == {"cytoscape.min.js"}  # another one goes into a list of its own


def test_all_that_kgctl_needs_is_in_it(wheel: dict[str, bytes]) -> None:
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kgctl").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel if not name.startswith(INFO)} == sources


def test_sources_hold_what_says_how_to_report_a_vulnerability(built: Path) -> None:
    import tarfile

    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"SECURITY.md", "LICENSE", "packaging/install", "packaging/requirements.txt"} <= names


def sbom(tmp_path: Path, wheel: dict[str, bytes], environment: dict[str, Any]) -> dict[str, Any]:
    """Return what packaging/sbom.py makes of the SBOM of an environment with the wheel in it."""
    info = tmp_path / "lib" / "python3.11" / "site-packages" / INFO / "sboms"
    info.mkdir(parents=True)
    (info / "cytoscape.cdx.json").write_bytes(wheel[f"{INFO}/sboms/cytoscape.cdx.json"])
    file = tmp_path / "environment.json"
    file.write_text(json.dumps(environment))
    done = subprocess.run(
        [sys.executable, str(ROOT / "packaging" / "sbom.py"), str(file), str(tmp_path)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_list_of_an_installation_holds_what_is_bundled(
    tmp_path: Path, wheel: dict[str, bytes]
) -> None:
    environment = {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"bom-ref": "root", "name": "kgctl", "type": "application"}},
        "components": [{"bom-ref": "rich", "name": "rich", "type": "library"}],
        "dependencies": [{"ref": "root", "dependsOn": ["rich"]}, {"ref": "rich"}],
    }
    found = sbom(tmp_path, wheel, environment)
    assert found["metadata"]["component"]["version"] == kgctl.__version__
    assert [one["name"] for one in found["components"]] == ["rich", "cytoscape"]
    part = found["components"][1]["bom-ref"]
    assert found["dependencies"] == [
        {"ref": part},
        {"ref": "rich"},
        {"ref": "root", "dependsOn": [part, "rich"]},
    ]
