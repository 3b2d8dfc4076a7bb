"""Clusters that a command line names, by context, kubeconfig or manifests, and their reading."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kgctl.cli.core.arguments import UsageError, cidrs
from kgctl.errors import KgctlError, KubeconfigError
from kgctl.mesh.text import first_twice, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kgctl.cli.core.shared import Shared
    from kgctl.cli.core.source import Reading
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.links import Linked
    from kgctl.state.interface import Objects

NONE = "none"
"""Stands in place of a cluster's service network where its services are not reached."""

Answer = TypeVar("Answer")

_ENDINGS = (".json", ".yaml", ".yml")  # of files; hardly any context has one
_HEAD = 1 << 20  # bytes in which a kubeconfig lists its clusters


class Cluster(NamedTuple):
    """One of several clusters that were read."""

    name: str
    reading: Reading
    objects: Objects


class Chosen(NamedTuple):
    """A cluster on the command line: its name, and the options that read only it."""

    name: str
    shared: Shared


def cluster_of(shared: Shared, argument: str) -> Chosen:
    """Return the cluster that ``[NAME=]CONTEXT`` or ``[NAME=]FILE`` names.

    A file is a kubeconfig, of which the current context is used, or manifests. Anything else is a
    context.

    Raises:
        UsageError: the argument looks like a file name, but there is no such file.
    """
    alone = shared._replace(contexts=None, named=None, context=None)
    name, equals, where = argument.partition("=")
    if not equals or "/" in name:
        name, where = "", argument
    path = Path(where)
    if not path.exists():
        if path.suffix in _ENDINGS:
            raise UsageError(f'there is no file "{printable(where)}"')
        return Chosen(name or where, alone._replace(contexts=[where], context=where))
    called = name or path.name.removesuffix(path.suffix) or path.name
    if path.is_file() and _is_kubeconfig(path):
        return Chosen(called, alone._replace(kubeconfig=where))
    return Chosen(called, alone._replace(filename=[where]))


def chosen_clusters(shared: Shared) -> list[Chosen]:
    """Return the clusters that ``--context`` and ``--cluster`` name, in this order.

    Raises:
        UsageError: another option names a source too, or two clusters have the same name.
    """
    if shared.filename or shared.example:
        given = "--filename" if shared.filename else "--example"
        raise UsageError(
            f"{given} is one cluster, and does not go with several of --context or with "
            "--cluster: name each as --cluster NAME=FILE"
        )
    alone = shared._replace(contexts=None, named=None)
    found = [
        Chosen(one, alone._replace(contexts=[one], context=one)) for one in shared.contexts or ()
    ]
    found += [cluster_of(shared, argument) for argument in shared.named or ()]
    names = [one.name for one in found]
    twice = first_twice(names)
    if twice is not None:
        raise UsageError(
            f'two clusters are called "{printable(twice)}"; name them: --cluster NAME=CLUSTER'
        )
    return found


def _is_kubeconfig(path: Path) -> bool:
    """Return whether a file is a usable kubeconfig."""
    from kgctl.kube.access.kubeconfig import load_access

    with path.open("rb") as file:
        if b"clusters" not in file.read(_HEAD):  # manifests may be large: do not parse them twice
            return False
    try:
        load_access(str(path))
    except KubeconfigError:
        return False
    return True


def networks_of_clusters(
    values: Sequence[str] | None, names: Sequence[str]
) -> dict[str, tuple[Cidr, ...]]:
    """Return the service networks by cluster, from ``CLUSTER=CIDR[,CIDR]``.

    Raises:
        UsageError: a value has another form, or names no known cluster.
    """
    found: dict[str, tuple[Cidr, ...]] = {}
    for value in values or ():
        name, equals, networks = value.rpartition("=")
        if not equals or name not in names:
            raise UsageError(
                f'--service-cidr "{printable(value)}" names no cluster; give CLUSTER=CIDR, and as '
                f"CLUSTER one of {', '.join(printable(name) for name in sorted(names))}"
            )
        added = [] if networks == NONE else cidrs("--service-cidr", [networks])
        found[name] = (*found.get(name, ()), *added)
    return found


@contextmanager
def said_of(cluster: str) -> Iterator[None]:
    """Put the name of the cluster in front of the message of an error."""
    try:
        yield
    except KgctlError as error:
        error.args = (f"{printable(cluster)}: {error}",)
        raise


def read_several(shared: Shared) -> list[Cluster]:
    """Read the clusters that the options name, all at once; keep the order of the command line.

    Raises:
        UsageError: an option is wrong.
        KgctlError: a cluster cannot be read; the message names it.
    """
    import time

    from kgctl.cli.core.source import (
        listen_port,
        mesh_granularity,
        note_clock,
        reading_of,
        source_of,
    )
    from kgctl.state.api_server import ApiServer

    mesh_granularity(shared)
    listen_port(shared)
    chosen = chosen_clusters(shared)
    sources = []
    for one in chosen:
        with said_of(one.name):  # an exec plugin may ask for a password here
            sources.append(source_of(one.shared))
    objects = at_once([one.name for one in chosen], [source.read for source in sources])
    now = time.time()
    for source in sources:
        if isinstance(source, ApiServer):
            note_clock(shared, source.clock_ahead())
    found = []
    for one, read in zip(chosen, objects, strict=True):
        with said_of(one.name):
            found.append(Cluster(one.name, reading_of(one.shared, read, read.read_at or now), read))
    return found


def linked_clusters(
    clusters: Sequence[Cluster], hostname: str | None = None, *, as_reference: bool = False
) -> Linked:
    """Return the networks of clusters and the links between them, as seen from a node.

    Leaders are those of ``Reading.topology``.

    Raises:
        MeshError: a cluster has no network; the message names it, and the reason.
    """
    from kgctl.link.peers import link_labels
    from kgctl.mesh.link_rules import Member
    from kgctl.mesh.links import linked

    members = []
    for one in clusters:
        with said_of(one.name):
            topology = one.reading.topology(hostname, as_reference=as_reference)
        members.append(Member(one.name, one.reading.state, topology))
    return linked(members, link_labels({one.name: one.objects.peers for one in clusters}))


def at_once(names: Sequence[str], calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Run the calls at once, each in its own thread, and return their results.

    ``names`` are the clusters of the calls.

    Raises:
        KgctlError: a call failed: the first such one in order; the message names its cluster.
    """
    from threading import Thread

    from kgctl.cli.core.source import ProgressBar

    answers: dict[int, Answer] = {}
    errors: dict[int, BaseException] = {}

    def run(number: int) -> None:
        try:
            answers[number] = calls[number]()
        except BaseException as error:  # raised again below, in the main thread
            errors[number] = error

    # daemons: an interrupt does not wait for a server that does not answer
    threads = [Thread(target=run, args=(number,), daemon=True) for number in range(len(calls))]
    with ProgressBar(f"reading {len(calls)} clusters"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in sorted(errors):
        with said_of(names[number]):
            raise errors[number]
    return [answers[number] for number in range(len(calls))]
