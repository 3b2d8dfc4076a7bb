"""What ``kgctl peer`` prints: on stdout what kubectl would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.output import answer
from kgctl.cli.secret import answer_with_secret
from kgctl.kilo import GROUP
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.kube.stored import Object

KIND = f"peer.{GROUP}"
KEPT = (
    "agents that knew it keep it in the network until they restart: "
    "kubectl -n kube-system rollout restart daemonset kilo"
)
"""What agents do with an invalid Peer that they can not be made to forget."""
DRY_RUNS = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
"""What kubectl says behind what was not really done."""


def show(peer: Object, output: str | None, done: str) -> None:
    """Print a Peer that was created or changed, as kubectl would."""
    from kgctl.edit.writing import spec_of
    from kgctl.kube.codec.structured import to_json, to_yaml

    name = printable(peer["metadata"]["name"])
    if output == "name":
        answer(f"{KIND}/{name}\n")
    elif output:
        metadata = {key: value for key, value in peer["metadata"].items() if key != "managedFields"}
        text = (to_json if output == "json" else to_yaml)({**peer, "metadata": metadata})
        answer_with_secret(text, holds_one=bool(spec_of(peer).get("presharedKey")))
    else:
        answer(f"{KIND}/{name} {done}\n")
