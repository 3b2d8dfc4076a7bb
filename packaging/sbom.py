"""Print the SBOM of an installation: of its packages, and of what is bundled in their wheels.

    python packaging/sbom.py ENVIRONMENT.json DIRECTORY

ENVIRONMENT.json is what `cyclonedx-py environment` made of the virtual environment in DIRECTORY. It
lists Python's packages, not the JavaScript within one; a wheel lists that in a document of its own
(PEP 770), which is added here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def merged(whole: dict[str, Any], bundled: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the SBOM with the components of those that are bundled, as parts of their package."""
    components = [*whole.get("components", ())]
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in whole.get("dependencies", ())}
    root = whole["metadata"]["component"]["bom-ref"]
    for document in bundled:
        name = document["metadata"]["component"]["name"]
        holders = [one["bom-ref"] for one in components if one["name"] == name] or [root]
        for part in document["components"]:
            components.append(part)
            needs.setdefault(part["bom-ref"], set())
            for holder in holders:
                needs.setdefault(holder, set()).add(part["bom-ref"])
    dependencies = [
        {"ref": ref, "dependsOn": sorted(on)} if on else {"ref": ref}
        for ref, on in sorted(needs.items())
    ]
    return {**whole, "components": components, "dependencies": dependencies}


def main(environment: str, directory: str) -> None:
    """Print the SBOM."""
    whole = json.loads(Path(environment).read_text(encoding="utf-8"))
    (packages,) = Path(directory).glob("lib/python3*/site-packages")
    (own,) = packages.glob("kgctl-*.dist-info")
    version = own.name.removesuffix(".dist-info").partition("-")[2]
    whole["metadata"]["component"] |= {"version": version, "purl": f"pkg:pypi/kgctl@{version}"}
    files = sorted(packages.glob("*.dist-info/sboms/*.cdx.json"))
    bundled = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    sys.stdout.write(json.dumps(merged(whole, bundled), indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
