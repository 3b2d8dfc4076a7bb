"""The names of Kilo's protocol, each written once.

Sources: https://kilo.squat.ai/docs/annotations and https://kilo.squat.ai/docs/api.
"""

from __future__ import annotations

PREFIX = "kilo.squat.ai/"
"""What the names of Kilo's annotations begin with."""

GROUP = "kilo.squat.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
"""The API group and version of Peer objects."""

PEERS = f"/apis/{API_VERSION}/peers"
"""The path of the collection of all Peers of an API server."""

TOPOLOGY_LABEL = "topology.kubernetes.io/region"
"""The label that Kilo's agents read a node's location from, unless they are told another one."""

KEY = f"{PREFIX}key"
"""The annotation with a node's public key."""
