"""The file network.yaml: its format, its schema, and what init writes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from kgctl.mesh.cidr import parse_address
from kgctl.mesh.network import Network
from kgctl.state.marked_yaml import PlacedError
from kgctl.state.network_file import network_schema, new_network_file, parse_network
from tests.support.recorded_agents import cidr

PUBLISHED = Path(__file__).parents[2] / "docs" / "network.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(network_schema())
START = "apiVersion: kgctl.dev/v1alpha1\nkind: Network\n"
dns = parse_address("10.73.5.1")
assert dns is not None

NETWORKS = [
    Network("home", (cidr("10.73.5.0/24"),)),
    Network("a-b", (cidr("10.73.5.0/24"), cidr("fd73::/64")), 15, (dns,), ("home.arpa", "lan")),
]


def test_the_published_schema_is_that_of_the_parser() -> None:
    jsonschema.Draft202012Validator.check_schema(network_schema())
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == network_schema()


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_written_is_read(network: Network) -> None:
    text = new_network_file(network)
    assert parse_network("network.yaml", text.encode()) == network
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_examples_in_comments_are_valid(network: Network) -> None:
    text = new_network_file(network).replace("  # dns", "  dns").replace("  # search", "  search")
    parse_network("network.yaml", text.encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: the file must be a mapping, not null"),
        (START, '1:1: the file lacks the key "name"'),
        ("kind: Mesh\n", '1:7: kind cannot be "Mesh"'),
        (f"{START}name: a\npools: []\n", "4:8: pools must be a list of at least 1"),
        (f"{START}name: A b\n", "3:7: name must be a name of lower-case letters"),
        (f"{START}name: a\npools: [10.0.0.0]\n", "4:9: this entry of pools must be a network"),
        (f"{START}name: a\npools: [10.0.0.0/33]\n", '4:9: "10.0.0.0/33" is not a network such as'),
        (f"{START}name: a\npools: [10.0.0.1/24]\n", "4:9: 10.0.0.1/24 is an address; its network"),
        (f"{START}name: a\npools: [10.0.0.0/32]\n", "4:9: 10.0.0.0/32 has too few addresses"),
        (
            f"{START}name: a\npools: [10.0.0.0/8, 10.1.0.0/16]\n",
            "4:21: 10.1.0.0/16 overlaps the pool 10.0.0.0/8 above",
        ),
        (f"{START}name: a\npool: [10.0.0.0/8]\n", 'there is no key "pool" here; did you mean'),
        (
            f"{START}name: a\npools: [10.0.0.0/8]\ndefaults: {{dns: [example.com]}}\n",
            "5:18: this entry of dns must be an IP address",
        ),
        (
            f"{START}name: a\npools: [10.0.0.0/8]\ndefaults: {{persistentKeepalive: 0}}\n",
            "5:33: persistentKeepalive must be at least 1",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(PlacedError) as error:
        parse_network("network.yaml", text.encode())
    assert message in str(error.value)
    assert str(error.value).startswith("network.yaml:")
