"""``kgctl agent manifests``: print the objects that run the agent, or its webhook, in a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer, note
from kgctl.mesh.agent_plan import Compatibility
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.render.agent_manifests import Distribution, Installation

IMAGE = "registry.example/kgctl-agent:latest"
"""A name that no registry has: there is no published image yet."""

_LONGEST = 500


def image_name(given: str | None) -> str:
    """Return the name of the image, and remind of building one if none is given.

    Raises:
        UsageError: it cannot be the name of an image.
    """
    if given is None:
        note(
            f"{IMAGE} is a placeholder: build the image from packaging/Containerfile.agent, push "
            "it, and give its name with --image"
        )
        return IMAGE
    allowed = given.isascii() and given.isprintable() and " " not in given
    if not given or not allowed or len(given) > _LONGEST:
        raise UsageError(f'--image "{printable(given, 60)}" is not the name of an image')
    return given


def installation(
    distribution: Distribution, image: str, compatibility: Compatibility, *, userspace: bool
) -> Installation:
    """Return the installation of the agent, with the arguments for its container."""
    from kgctl.render.agent_manifests import INTERFACE, KUBECONFIG, Distribution, Installation

    arguments = ["agent", "--hostname=$(NODE_NAME)"]
    if distribution is not Distribution.GENERIC:
        arguments.append(f"--kubeconfig={KUBECONFIG}")
    if compatibility is not Compatibility.NONE:
        arguments += [
            "--cni=false",
            f"--compatibility={compatibility.value}",
            "--local=false",
            "--internal-cidr=$(NODE_IP)",
        ]
    if userspace:
        arguments += ["--create-interface=false", f"--interface={INTERFACE}"]
    return Installation(distribution, image, tuple(arguments), compatibility, userspace)


def print_agent(chosen: Installation) -> None:
    """Print the objects of the agent."""
    from kgctl.render.agent_manifests import agent_objects

    _print(agent_objects(chosen))


def webhook_arguments() -> list[str]:
    """Return the arguments for the container of the webhook."""
    from kgctl.render.webhook_manifests import CERTIFICATE, DIRECTORY, HTTPS, KEY, METRICS

    return [
        "agent",
        "webhook",
        f"--cert-file={DIRECTORY}/{CERTIFICATE}",
        f"--key-file={DIRECTORY}/{KEY}",
        f"--listen=:{HTTPS}",
        f"--listen-metrics=:{METRICS}",
    ]


def print_webhook(image: str, ca_bundle: Path | None) -> None:
    """Print the objects of the webhook; ``ca_bundle`` is a file with certificates.

    Raises:
        UsageError: the file cannot be read, or holds a private key or no certificate.
    """
    from kgctl.render.webhook_manifests import webhook_objects

    certificates = None if ca_bundle is None else _certificates(ca_bundle)
    _print(webhook_objects(image, webhook_arguments(), certificates))


def _certificates(file: Path) -> bytes:
    shown = printable(str(file))
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read --ca-bundle {shown}: {error.strerror}") from None
    if b"PRIVATE KEY" in content:
        raise UsageError(f"--ca-bundle {shown} holds a private key: give the certificates alone")
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise UsageError(f"--ca-bundle {shown} holds no certificate in PEM")
    return content


def _print(objects: list[dict[str, Any]]) -> None:
    from kgctl.kube.codec.structured import to_yaml

    answer("---\n".join(to_yaml(one, blocks=True) for one in objects))
