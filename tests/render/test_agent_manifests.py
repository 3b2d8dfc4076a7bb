"""The objects that run the agent and its webhook."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.cli.commands.agent_manifests import installation, webhook_arguments
from kgctl.cli.roles import manifest
from kgctl.kube.access.kubeconfig import load_access
from kgctl.mesh.agent_plan import Compatibility
from kgctl.render.agent_manifests import (
    CNI,
    INSTALL_CNI,
    K3S_KUBECONFIG,
    Distribution,
    Installation,
    agent_objects,
    agent_rules,
)
from kgctl.render.webhook_manifests import webhook_objects
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERY = [
    installation(distribution, "registry.example/agent:1", compatibility, userspace=userspace)
    for distribution, compatibility, userspace in product(
        Distribution, Compatibility, (False, True)
    )
]


def by_kind(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {one["kind"]: one for one in objects}
    assert len(found) == len(objects)
    return found


def pod_of(given: Installation) -> dict[str, Any]:
    template = by_kind(agent_objects(given))["DaemonSet"]["spec"]["template"]
    pod: dict[str, Any] = template["spec"]
    return pod


def containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


@pytest.mark.parametrize("given", EVERY, ids=str)
def test_every_mount_has_its_volume_and_every_volume_a_mount(given: Installation) -> None:
    pod = pod_of(given)
    volumes = [one["name"] for one in pod["volumes"]]
    mounted = {mount["name"] for one in containers(pod) for mount in one["volumeMounts"]}
    assert len(volumes) == len(set(volumes))
    assert set(volumes) == mounted
    configs = {one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one}
    assert ("kilo" in configs) == ("ConfigMap" in by_kind(agent_objects(given)))


@pytest.mark.parametrize("given", EVERY, ids=str)
def test_the_agent_is_not_privileged(given: Installation) -> None:
    for one in containers(pod_of(given)):
        context = one["securityContext"]
        if one["name"] == "wireguard":
            assert context["privileged"]
            continue
        assert "privileged" not in context
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"]["drop"] == ["ALL"]
        added = ["NET_ADMIN", "NET_RAW"] if one["name"] == "kilo" else None
        assert context["capabilities"].get("add") == added


@pytest.mark.parametrize("given", EVERY, ids=str)
def test_the_arguments_are_those_of_kgctl_agent(given: Installation) -> None:
    (agent, *_) = pod_of(given)["containers"]
    values = {"$(NODE_NAME)": "aws-1", "$(NODE_IP)": "fd00::7"}
    named = {f"$({one['name']})" for one in agent["env"]}
    arguments = agent["args"]
    assert named == {name for name in values if any(name in one for one in arguments)}
    for name, value in values.items():
        arguments = [one.replace(name, value) for one in arguments]
    arguments = [one for one in arguments if not one.startswith("--kubeconfig=")]
    assert kgctl(*arguments, "--example", "--dry-run").code == 0


def test_the_role_is_the_one_that_kgctl_help_prints() -> None:
    role = next(yaml.safe_load_all(manifest("agent")))
    assert agent_rules() == role["rules"]


@pytest.mark.parametrize("distribution", Distribution)
def test_the_command_prints_the_objects(distribution: Distribution) -> None:
    code, out, errors = kgctl(
        "agent", "manifests", "--distribution", distribution, "--image", "registry.example/agent:1"
    )
    assert (code, errors) == (0, "")
    found = list(yaml.safe_load_all(out))
    assert found == agent_objects(
        installation(distribution, "registry.example/agent:1", Compatibility.NONE, userspace=False)
    )
    assert INSTALL_CNI.splitlines()[4].strip() in map(str.strip, out.splitlines())


def test_without_an_image_it_reminds_of_one() -> None:
    code, out, errors = kgctl("agent", "manifests", "--distribution=generic")
    assert code == 0
    assert errors.startswith("registry.example/kgctl-agent:latest is a placeholder")
    assert len(list(yaml.safe_load_all(out))) == 6


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "give --distribution kubeadm, k3s or generic, or --webhook"),
        (["--distribution", "k8s"], "k8s"),
        (["--distribution=k3s", "--compatibility=calico"], '--compatibility "calico" is unknown'),
        (["--distribution=k3s", "--image", "a b"], '--image "a b" is not the name of an image'),
        (["--distribution=k3s", "--image", "a\nb: c"], '--image "a\\nb: c" is not the name'),
        (["--webhook", "--distribution=k3s"], "--distribution has no effect with --webhook"),
        (["--distribution=k3s", "--ca-bundle=x"], "--ca-bundle has no effect without --webhook"),
        (["--webhook", "--image=x", "--ca-bundle", "/nonexistent"], "cannot read --ca-bundle"),
    ],
)
def test_a_wrong_option_is_one_line(options: list[str], why: str) -> None:
    code, out, errors = kgctl("agent", "manifests", *options)
    assert (code, out) == (1, "")
    assert why in errors
    assert len(errors.splitlines()) == 1


def test_options_of_the_agent_do_not_stand_before_a_subcommand() -> None:
    code, _, errors = kgctl("agent", "--hostname", "x", "manifests", "--webhook")
    assert code == 1
    assert errors.startswith("--hostname is an option of the agent, and has no effect on manifests")


def test_the_webhook_trusts_a_bundle_or_asks_cert_manager(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    options = ("agent", "manifests", "--webhook", "--image=x", "--ca-bundle", str(bundle))
    found = by_kind(list(yaml.safe_load_all(kgctl(*options).stdout)))
    configuration = found["ValidatingWebhookConfiguration"]
    client = configuration["webhooks"][0]["clientConfig"]
    assert b64decode(client["caBundle"]) == bundle.read_bytes()
    assert "annotations" not in configuration["metadata"]
    asking = by_kind(webhook_objects("x", webhook_arguments()))["ValidatingWebhookConfiguration"]
    assert "cert-manager.io/inject-ca-from" in asking["metadata"]["annotations"]
    bundle.write_text("-----BEGIN PRIVATE KEY-----")
    refused = kgctl(*options)
    assert refused.code == 1
    assert "holds a private key" in refused.stderr
    bundle.write_text("x")
    assert "holds no certificate" in kgctl(*options).stderr


def test_the_service_leads_to_the_webhook() -> None:
    found = by_kind(webhook_objects("x", webhook_arguments()))
    template = found["Deployment"]["spec"]["template"]
    service = found["Service"]
    assert service["spec"]["selector"] == template["metadata"]["labels"]
    (container,) = template["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] in [one["name"] for one in container["ports"]]
    client = found["ValidatingWebhookConfiguration"]["webhooks"][0]["clientConfig"]
    assert client["service"]["name"] == service["metadata"]["name"]
    assert container["args"][:2] == ["agent", "webhook"]
    assert kgctl(*container["args"], "--listen=:x").stderr.startswith('--listen ":x" is not')


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """The directories of a node, and those of its containers."""
    for path in ("usr/lib/cni", "opt/cni/bin", "etc/cni/net.d", "var/lib/kilo", "cni", "k3s",
                 "etc/kubernetes"):  # fmt: skip
        (tmp_path / path).mkdir(parents=True)
    return tmp_path


def run(script: str, node: Path) -> None:
    for path in ("/usr/lib/cni", "/opt/cni", "/etc/", "/var/lib", "/cni/", "/k3s/"):
        script = script.replace(f" {path}", f" {node}{path}").replace(f'"{path}', f'"{node}{path}')
        script = script.replace(f"={path}", f"={node}{path}").replace(f">{path}", f">{node}{path}")
    subprocess.run(["sh", "-c", script], check=True)


def test_the_cni_configuration_is_written_again_only_if_it_changed(node: Path) -> None:
    for name in ("bridge", "host-local", "loopback", "portmap"):
        (node / "usr/lib/cni" / name).write_text(name)
    given, written = node / "cni/cni-conf.json", node / "etc/cni/net.d/10-kilo.conflist"
    other = node / "etc/cni/net.d/99-other.conf"
    other.write_text("x")
    given.write_text(json.dumps(CNI))
    run(INSTALL_CNI, node)
    assert (node / "opt/cni/bin/portmap").stat().st_mode & 0o777 == 0o755
    assert json.loads(written.read_text()) == CNI
    written.write_text("with the pod CIDR")
    run(INSTALL_CNI, node)
    assert written.read_text() == "with the pod CIDR"
    given.write_text("{}")
    run(INSTALL_CNI, node)
    assert written.read_text() == "{}"
    written.unlink()
    run(INSTALL_CNI, node)
    assert written.read_text() == "{}"
    assert {one.name for one in written.parent.iterdir()} == {written.name, other.name}
    assert {one.name for one in (node / "opt/cni/bin").iterdir()} == {
        "bridge", "host-local", "loopback", "portmap",
    }  # fmt: skip


def test_the_kubeconfig_of_k3s_names_its_server_and_the_service_account(node: Path) -> None:
    kubelet = {"clusters": [{"cluster": {"server": "https://127.0.0.1:6444"}, "name": "local"}]}
    (node / "k3s/kubelet.kubeconfig").write_text(yaml.safe_dump(kubelet))
    run(K3S_KUBECONFIG, node)
    access = load_access(str(node / "etc/kubernetes/kubeconfig"))
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert access.server == "https://127.0.0.1:6444"
    assert access.user == {"tokenFile": f"{account}/token"}
    assert access.cluster["certificate-authority"] == f"{account}/ca.crt"
