"""The manifests of the agent and its webhook, as a real API server judges them."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kgctl.state.example
from kgctl.cli.commands.agent_manifests import installation, webhook_arguments
from kgctl.mesh.agent_plan import Compatibility
from kgctl.render.agent_manifests import Distribution, agent_objects, agent_rules
from kgctl.render.webhook_manifests import webhook_objects
from tests.apiserver.client import RESOURCES, RefusedError
from tests.support.recorded import kgctl as run

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer

EXAMPLE = Path(kgctl.state.example.__file__).with_name("cluster.json")
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
NAMESPACED = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
}
CLUSTER = {
    **RESOURCES,
    "Namespace": "/api/v1/namespaces",
    "ValidatingWebhookConfiguration": HOOKS,
}
STRICT = "dryRun=All&fieldManager=test&force=true&fieldValidation=Strict"


def applied(server: ApiServer, one: dict[str, Any]) -> dict[str, Any]:
    """Return the object that a server-side apply would store."""
    metadata = one["metadata"]
    namespace = metadata.get("namespace")
    if namespace is None:
        collection = CLUSTER[one["kind"]]
    else:
        collection = NAMESPACED[one["kind"]].format(namespace)
    path = f"{collection}/{metadata['name']}?{STRICT}"
    stored: dict[str, Any] = server.request("PATCH", path, one, "application/apply-patch+yaml")
    return stored


def is_within(wanted: object, stored: object) -> bool:
    """Return whether an object is as it was given, apart from what the server added."""
    if isinstance(wanted, dict):
        return isinstance(stored, dict) and all(
            name in stored and is_within(one, stored[name]) for name, one in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(stored, list)
            and len(wanted) == len(stored)
            and all(map(is_within, wanted, stored))
        )
    return wanted == stored


@pytest.mark.parametrize("distribution", Distribution)
@pytest.mark.parametrize(
    ("compatibility", "userspace"), list(product(Compatibility, (False, True)))
)
def test_the_server_takes_the_objects_of_the_agent(
    api_server: ApiServer, distribution: Distribution, compatibility: Compatibility, userspace: bool
) -> None:
    given = installation(
        distribution, "registry.example/agent:1", compatibility, userspace=userspace
    )
    for one in agent_objects(given):
        stored = applied(api_server, one)
        if one["kind"] != "CustomResourceDefinition":
            assert is_within(one, stored), one["kind"]


@pytest.mark.parametrize("bundle", [None, b"-----BEGIN CERTIFICATE-----\n"])
def test_the_server_takes_the_objects_of_the_webhook(
    api_server: ApiServer, bundle: bytes | None
) -> None:
    objects = webhook_objects("registry.example/agent:1", webhook_arguments(), bundle)
    with suppress(RefusedError):  # the namespace stays from run to run
        api_server.request("POST", CLUSTER["Namespace"], objects[0])
    if bundle is not None:
        objects = objects[:-1]  # the server looks into a bundle; the test of the webhook has one
    for one in objects:
        assert is_within(one, applied(api_server, one)), one["kind"]


def test_the_role_of_the_agent_suffices_and_grants_no_more(api_server: ApiServer) -> None:
    api_server.clear()
    api_server.apply([json.loads(EXAMPLE.read_text())])
    user = str(api_server.user("agent", agent_rules()))
    options = ("--kubeconfig", user, "--at", "newest")
    code, out, errors = run("agent", *options, "--hostname", "aws-1", "--dry-run")
    assert (code, errors) == (0, "")
    assert "wg set kilo0 private-key" in out
    for more in (("peer", "rm", "office"), ("node", "set", "aws-1", "--location", "x", "--yes")):
        refused = run("--kubeconfig", user, *more)
        assert refused.code == 1
        assert "is forbidden" in refused.stderr
    api_server.clear()
