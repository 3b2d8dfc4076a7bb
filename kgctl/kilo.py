"""Names in Kilo's API and annotations.

Sources: https://kilo.squat.ai/docs/annotations and https://kilo.squat.ai/docs/api.
"""

from __future__ import annotations

PREFIX = "kilo.squat.ai/"
"""The prefix of Kilo's annotations."""

GROUP = "kilo.squat.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
"""The API group and version of Peer objects."""

PEERS = f"/apis/{API_VERSION}/peers"
"""The API path of the collection of Peers."""

TOPOLOGY_LABEL = "topology.kubernetes.io/region"
"""The label with a node's location, unless Kilo's agents are configured with another one."""

KEY = f"{PREFIX}key"
"""The annotation with a node's public key."""
