"""Roles in error texts: they grant the missing rights, and are the same as in docs/."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kgctl.cli.roles import _GRANTED, ROLES, manifest, role_for
from tests.support.recorded import kgctl

DOCS = Path(__file__).parents[2] / "docs"
GROUPS = {
    "peers": "kilo.squat.ai",
    "endpointslices": "discovery.k8s.io",
    "servicecidrs": "networking.k8s.io",
}


@pytest.mark.parametrize(
    ("verb", "resource"), [(verb, what) for what, verbs in _GRANTED.items() for verb in verbs]
)
def test_a_role_grants_what_it_is_named_for(verb: str, resource: str) -> None:
    role = role_for(verb, resource)
    assert role is not None
    rules = [
        rule
        for document in yaml.safe_load_all(manifest(role))
        for rule in document.get("rules") or ()
        if resource in rule["resources"] and GROUPS.get(resource, "") in rule["apiGroups"]
    ]
    assert any(verb in rule["verbs"] for rule in rules)


@pytest.mark.parametrize("role", ROLES)
def test_the_documentation_has_the_same(role: str) -> None:
    page = "rbac.yaml" if role == "read" else f"rbac-{role}.yaml"
    assert (DOCS / page).read_text() == manifest(role) == kgctl("help", "rbac", role).stdout


def test_every_page_is_a_role() -> None:
    pages = {path.stem.removeprefix("rbac-") for path in DOCS.glob("rbac*.yaml")}
    assert pages == {*ROLES} - {"read"} | {"rbac"}


def test_the_list_names_each() -> None:
    listed = kgctl("help", "rbac")
    assert (listed.code, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()[: len(ROLES)]] == [*ROLES]


def test_several_are_one_stream() -> None:
    printed = kgctl("help", "rbac", "nodes", "watch").stdout
    names = [one["metadata"]["name"] for one in yaml.safe_load_all(printed)]
    assert names == ["kgctl-node-admin", "kgctl-watcher"]


@pytest.mark.parametrize(("name", "says"), [("node", 'mean "nodes"'), ("\x1b", "there are read,")])
def test_an_unknown_one_is_refused(name: str, says: str) -> None:
    refused = kgctl("help", "rbac", name)
    assert (refused.code, refused.stdout) == (1, "")
    assert says in refused.stderr
    assert refused.stderr.rstrip("\n").isprintable()
