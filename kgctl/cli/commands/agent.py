"""``kgctl agent``: the agent of a node, its manifests, and its webhook.

The module declares and checks the options.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.agent.interface import CNI_FILE, KEY_FILE, Firewall
from kgctl.cli.commands.agent_options import AUTO, interface_mtu, networks, node_name, plugin
from kgctl.cli.commands.connect import interface_name, one_cidr, period
from kgctl.cli.commands.connect_run import Level
from kgctl.cli.core.arguments import UsageError, cidrs, listen_address
from kgctl.cli.core.choices import complete_node
from kgctl.cli.core.limits import Accept, Deny, LimitOptions, OnlyNetworks
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.cli.core.source import listen_port, mesh_granularity, require_backend
from kgctl.mesh.agent_plan import AgentOptions, Compatibility, Encapsulation
from kgctl.mesh.text import listed
from kgctl.mesh.topology import LOCATION
from kgctl.render.agent_manifests import Distribution

if TYPE_CHECKING:
    from kgctl.agent.interface import Settings


class Format(StrEnum):
    """The format of the dry run."""

    COMMANDS = "commands"
    JSON = "json"


Compatible = Annotated[
    str,
    typer.Option(
        metavar="flannel|cilium",
        help="The network plugin to work with. Default: Kilo's own.",
        show_default=False,
    ),
]
SUBNET = "10.4.0.0/16"
LISTEN = ":1107"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
@with_shared
def agent(
    shared: Shared,
    ctx: typer.Context,
    hostname: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="The name of the node. Default: the host's name.",
            autocompletion=complete_node,
        ),
    ] = None,
    subnet: Annotated[
        str, typer.Option(metavar="CIDR", help="The network of WireGuard IPs, alike on all nodes.")
    ] = SUBNET,
    interface: Annotated[
        str, typer.Option("--interface", metavar="NAME", help="The WireGuard interface.")
    ] = "kilo0",
    create_interface: Annotated[
        bool,
        typer.Option(
            "--create-interface/--no-create-interface",
            help="Create the WireGuard interface if it does not exist.",
        ),
    ] = True,
    mtu: Annotated[
        str,
        typer.Option(
            metavar="auto|BYTES",
            help="The MTU of the WireGuard interface; auto: that of the interface of the default "
            "route, minus 80.",
        ),
    ] = AUTO,
    encapsulate: Annotated[
        Encapsulation,
        typer.Option(help="When to encapsulate packets within a location."),
    ] = Encapsulation.ALWAYS,
    compatibility: Compatible = Compatibility.NONE.value,
    local: Annotated[
        bool,
        typer.Option("--local/--no-local", help="Set up routes within the node's own location."),
    ] = True,
    cni: Annotated[
        bool,
        typer.Option("--cni/--no-cni", help="Manage the network of the node's own pods."),
    ] = True,
    cni_path: Annotated[
        Path, typer.Option(metavar="FILE", help="The CNI configuration to manage.")
    ] = CNI_FILE,
    internal_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="Choose the internal IP only from these networks or addresses. Repeatable.",
        ),
    ] = None,
    prioritise_private_addresses: Annotated[
        bool,
        typer.Option(
            "--prioritise-private-addresses/--no-prioritise-private-addresses",
            help="Make the endpoint of the private address, if there is one.",
        ),
    ] = False,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="The cluster's service network, which is not masqueraded. Repeatable.",
        ),
    ] = None,
    iptables_forward_rules: Annotated[
        bool,
        typer.Option(
            "--iptables-forward-rules/--no-iptables-forward-rules",
            help="Accept forwarded packets in the firewall.",
        ),
    ] = False,
    firewall: Annotated[
        Firewall, typer.Option(help="The program that sets the firewall's rules.")
    ] = Firewall.IPTABLES,
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    key_file: Annotated[
        Path, typer.Option(metavar="FILE", help="The node's private key; made if it is missing.")
    ] = KEY_FILE,
    resync_period: Annotated[
        str,
        typer.Option(metavar="TIME", help="The period of full rounds; changes apply at once."),
    ] = "30s",
    clean_up: Annotated[
        bool,
        typer.Option(
            "--clean-up/--no-clean-up", help="On exit, undo what was set up, except the interface."
        ),
    ] = True,
    clean_up_interface: Annotated[
        bool,
        typer.Option(
            "--clean-up-interface/--no-clean-up-interface",
            help="On exit, delete the WireGuard interface too.",
        ),
    ] = False,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS:PORT", help="The address of /health, /metrics and /graph, by HTTP."
        ),
    ] = LISTEN,
    master: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address of the API server. Default: that of the kubeconfig or the Pod.",
        ),
    ] = None,
    log_level: Annotated[Level, typer.Option(help="The log level.")] = Level.INFO,
    once: Annotated[
        bool,
        typer.Option("--once/--no-once", help="Run one round, and exit.", show_default=False),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run/--no-dry-run",
            help="Print what the agent sets up, and change nothing. Also with -f.",
            show_default=False,
        ),
    ] = False,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="The format of --dry-run.")
    ] = Format.COMMANDS,
) -> None:
    """Run the agent of a node: it announces the node, and sets the network up on it.

    Takes the flags of Kilo's own agent. --port, --mesh-granularity (default: location) and
    --topology-label mean this node, and have to be alike on all nodes, as --subnet has.

    For example: kgctl agent --hostname ams-1 --dry-run
    """
    if ctx.invoked_subcommand is not None:
        _refuse_own_options(ctx)
        return
    require_backend(shared)
    address = listen_address("--listen", listen)
    granularity = shared.mesh_granularity or LOCATION
    shared = shared._replace(mesh_granularity=granularity)
    from kgctl.agent.interface import Settings

    settings = Settings(
        hostname=node_name(hostname),
        granularity=mesh_granularity(shared),
        topology_label=shared.location_label,
        port=listen_port(shared),
        subnet=one_cidr("--subnet", subnet).masked(),
        interface=interface_name(interface),
        plan=AgentOptions(
            encapsulation=encapsulate,
            compatibility=plugin(compatibility),
            local=local,
            cni=cni,
            forward_rules=iptables_forward_rules,
            service_cidrs=tuple(cidrs("--service-cidr", service_cidr)),
        ),
        mtu=interface_mtu(mtu),
        period=period(resync_period),
        create_interface=create_interface,
        internal_cidrs=tuple(networks("--internal-cidr", internal_cidr)),
        prioritise_private=prioritise_private_addresses,
        cni_file=cni_path if cni else None,
        key_file=key_file,
        clean_up=clean_up,
        clean_up_interface=clean_up_interface,
        firewall=firewall,
        limits=LimitOptions(only_networks, deny, accept).over_settings().limits(),
    )
    if dry_run:
        _show(shared, master, settings, output)
        return
    if shared.filename or shared.example:
        raise UsageError("the agent needs a live cluster: omit --filename and --example")
    from kgctl.cli.commands.agent_run import run

    run(shared, master, settings, address, log_level, once=once)


@app.command("webhook")
@with_shared
def webhook(
    shared: Shared,
    cert_file: Annotated[
        Path, typer.Option(metavar="FILE", help="The certificate of the server, in PEM.")
    ],
    key_file: Annotated[
        Path, typer.Option(metavar="FILE", help="The private key of the certificate, in PEM.")
    ],
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="The address of /validate, by HTTPS.")
    ] = ":8443",
    listen_metrics: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="The address of /metrics, by HTTP.")
    ] = LISTEN,
) -> None:
    """Refuse invalid Peers, as an admission webhook of the API server.

    The rules are those of kgctl peer validate. A changed certificate is read again.
    """
    from kgctl.cli.commands.agent_webhook import serve_webhook

    serve_webhook(
        cert_file,
        key_file,
        listen_address("--listen", listen),
        listen_address("--listen-metrics", listen_metrics),
    )


@app.command("manifests")
@with_shared
def manifests(
    shared: Shared,
    distribution: Annotated[
        Distribution | None,
        typer.Option(help="How the cluster was set up: it decides how to reach the API server."),
    ] = None,
    compatibility: Compatible = Compatibility.NONE.value,
    userspace: Annotated[
        bool,
        typer.Option("--userspace", help="Run wireguard-go, for kernels without WireGuard."),
    ] = False,
    webhook: Annotated[
        bool, typer.Option("--webhook", help="Print the objects of the webhook instead.")
    ] = False,
    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --webhook: the certificates of its authority, in PEM. Default: cert-manager "
            "puts them in.",
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the image of kgctl agent.")
    ] = None,
) -> None:
    """Print the objects that run the agent on every node, for kubectl apply -f -.

    For example: kgctl agent manifests --distribution k3s --image registry.example/kgctl-agent:1
    """
    from kgctl.cli.commands.agent_manifests import (
        image_name,
        installation,
        print_agent,
        print_webhook,
    )

    if webhook:
        print_webhook(image_name(image), ca_bundle)
        return
    if distribution is None:
        raise UsageError(f"give --distribution {listed(list(Distribution), 'or')}, or --webhook")
    chosen = plugin(compatibility)
    print_agent(installation(distribution, image_name(image), chosen, userspace=userspace))


def _show(shared: Shared, master: str | None, settings: Settings, output: Format) -> None:
    from kgctl.cli.commands.agent_dryrun import show_plan

    show_plan(shared, master, settings, as_json=output is Format.JSON)


def _refuse_own_options(ctx: typer.Context) -> None:
    """Make sure that no option of the agent stands before a subcommand, where it has no effect.

    Raises:
        UsageError: there is one.
    """
    from kgctl.cli.core.table import OPTIONS

    everywhere = {option.field for option in OPTIONS}
    for parameter in ctx.command.params:
        name = str(parameter.name)
        source = ctx.get_parameter_source(name)
        if name not in everywhere and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"{parameter.opts[0]} is an option of the agent, and has no effect on "
                f"{ctx.invoked_subcommand}; give the options of {ctx.invoked_subcommand} after it"
            )
