"""Pictures of the clusters of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.errors import MeshError
from kgctl.mesh.state import network_of
from kgctl.render.graph.picture import Picture, picture_of
from kgctl.state.manifests import Manifests
from kgctl.state.objects import state_of
from tests.support.harmless import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.state.interface import Objects


def picture_of_objects(objects: Objects, granularity: str = "location") -> Picture | None:
    """Return the picture of a cluster, or None if it has no network."""
    state = state_of(objects)
    try:
        topology = network_of(state, now=NOW, granularity=granularity)
    except MeshError:
        return None
    return picture_of(state, topology, NOW)


def golden_picture(path: Path, granularity: str = "location") -> Picture | None:
    """Return the picture of a recorded cluster."""
    return picture_of_objects(_objects(path), granularity)


def _objects(path: Path) -> Objects:
    import json
    import tempfile
    from pathlib import Path as File

    with tempfile.TemporaryDirectory() as directory:
        file = File(directory, "cluster.json")
        file.write_text(json.dumps(json.loads(path.read_text())["cluster"]))
        return Manifests([str(file)]).read()
