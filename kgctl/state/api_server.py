"""A live cluster as a source of state: lists and watches of its API server's nodes and peers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kgctl.errors import ClusterError, ConnectionLostError
from kgctl.kilo import PEERS, PREFIX
from kgctl.kube import lists
from kgctl.kube.access.credentials import QUIET_LIMIT
from kgctl.kube.access.kubeconfig import load_access
from kgctl.kube.budget import MEMORY
from kgctl.kube.http.client import Api, Backoff
from kgctl.kube.http.transport import beyond_lean, open_transport
from kgctl.kube.lists import NODES, ask_for_nodes, list_names
from kgctl.state.interface import Objects, about_kilo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from kgctl.kube.access.kubeconfig import Access
    from kgctl.kube.http.transport import Transport
    from kgctl.kube.lists import Listed
    from kgctl.kube.objects import NodeObject
    from kgctl.kube.watch import Event
    from kgctl.state.interface import Kind
    from kgctl.state.peers import PeerObjects


def list_nodes(
    api: Api,
    *,
    cached: bool = True,
    accept: str = lists.PROTOBUF,
    label: str = "",
    platform: bool = False,
) -> list[NodeObject]:
    """Return every node with Kilo's annotations; see ``kgctl.kube.lists.list_nodes``.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.list_nodes(
        api, cached=cached, accept=accept, label=label, annotation=PREFIX, platform=platform
    )


def list_peers(api: Api) -> list[Mapping[str, Any]]:
    """Return every Peer object as stored now.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.list_objects(api, PEERS)


def nodes_to_watch(api: Api, label: str = "", *, platform: bool = True) -> Listed[NodeObject]:
    """Return every node as stored now, and the version to watch from; see ``watch_nodes``.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.nodes_to_watch(api, label, PREFIX, platform=platform)


def peers_to_watch(api: Api) -> Listed[Mapping[str, Any]]:
    """Return every Peer object as stored now, and the version to watch from.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.objects_to_watch(api, PEERS)


def watch_nodes(
    api: Api, resource_version: str, lasts: int, label: str = "", *, platform: bool = True
) -> Generator[Event[NodeObject], None, None]:
    """Yield the changes of nodes; see ``kgctl.kube.watch.watch_nodes``."""
    from kgctl.kube import watch

    return watch.watch_nodes(
        api, resource_version, lasts, label=label, annotation=PREFIX, platform=platform
    )


def watch_peers(
    api: Api, resource_version: str, lasts: int
) -> Generator[Event[Mapping[str, Any]], None, None]:
    """Yield the changes of Peers; see ``kgctl.kube.watch.watch_objects``."""
    from kgctl.kube.watch import watch_objects

    return watch_objects(api, PEERS, resource_version, lasts)


T = TypeVar("T")


class ApiServer:
    """Reads nodes and peers from an API server; a ``Source``.

    Args:
        kubeconfig: the kubeconfig file to use; None for the usual places (see ``load_access``).
        context: the context to use; None for the current one.
        request_timeout: seconds that one request may take; None or 0 is no limit.
        label: the only label of nodes that is needed; leaving out the others is faster.
        cached: whether nodes may come from the API server's watch cache, which is twice as fast.
        interactive: whether an exec plugin may prompt on the terminal; if not, it must end within
            the time of the request.
        trace: receives a line for each request, without credentials.
        access: replaces the access that ``kubeconfig`` and ``context`` lead to.
        transport: replaces the connection, in tests.
        memory: bytes of this machine's memory that one list may take.
        backoff: how to retry requests that an overloaded server did not answer.

    Nothing is read or connected before the first call.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        request_timeout: float | None = None,
        label: str = "",
        cached: bool = True,
        interactive: bool = True,
        trace: Callable[[str], None] | None = None,
        access: Access | None = None,
        transport: Transport | None = None,
        backoff: Backoff | None = None,
        memory: int = MEMORY,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._timeout = request_timeout or None
        self._label = label
        self._cached = cached
        self._interactive = interactive
        self._trace = trace
        self._access = access
        self._transport = transport
        self._backoff = backoff
        self._memory = memory
        self._api: Api | None = None
        self._failure: ClusterError | None = None

    def ask(self) -> None:
        """Send the first request of ``read`` now, so that the server works on it meanwhile.

        Nothing is raised: an error is raised later, when the answer is needed. Nothing is sent
        where that takes more than a request: an exec plugin may prompt, an auth-provider may have
        to get a token, the package takes long to import.
        """
        try:
            access = self._access = self._access or load_access(self._kubeconfig, self._context)
        except ClusterError:
            return
        if access.user.get("auth-provider") or (access.user.get("exec") and not _is_kept(access)):
            return
        if beyond_lean(access) is not None:
            return
        try:
            ask_for_nodes(self.api(), cached=self._cached)
        except ConnectionLostError:
            return  # read tries again
        except ClusterError as error:
            self._failure = error  # a second try would only wait for the same error

    def api(self) -> Api:
        """Return the client, for requests that no method of this class makes.

        Raises:
            kgctl.ClusterError: there is no usable kubeconfig, or no credentials can be obtained.
        """
        if self._failure is not None:
            raise self._failure
        if self._api is None:
            access = self._access or load_access(self._kubeconfig, self._context)
            limit = min(QUIET_LIMIT, self._timeout or QUIET_LIMIT)
            transport = self._transport or open_transport(access, self._interactive, limit)
            self._api = Api(
                access,
                transport,
                timeout=self._timeout,
                backoff=self._backoff,
                trace=self._trace,
                memory=self._memory,
                refused=about_kilo,
            )
        return self._api

    def read(self) -> Objects:
        """Read the nodes and peers: in parallel if the server is far away, else in sequence.

        A second connection costs a TLS handshake of some 5 ms of work on either side. It pays off
        where it saves a long round trip.

        Raises:
            kgctl.ClusterError: they cannot be read; the message says what to do.
        """
        api = self.api()
        if not api.far():
            nodes = self.nodes()
            return Objects(nodes=nodes, peers=list_peers(api), passed_over={})
        peers = _Aside(lambda: list_peers(api))
        nodes = self.nodes()
        return Objects(nodes=nodes, peers=peers.result(), passed_over={})

    def nodes(self, *, whole: bool = False) -> list[NodeObject]:
        """Read only the nodes; ``whole`` with every label, and with their platforms.

        Raises:
            kgctl.ClusterError: they cannot be read; the message says what to do.
        """
        label = "" if whole else self._label
        return list_nodes(self.api(), cached=self._cached, label=label, platform=whole)

    def peers(self) -> PeerObjects:
        """Return the store of Peer objects.

        Raises:
            kgctl.ClusterError: there is no usable kubeconfig, or no credentials can be obtained.
        """
        from kgctl.state.peers import PeerObjects

        return PeerObjects(self.api())

    def host(self) -> str:
        """Return the host that requests go to: the API server or its proxy, as name or address.

        Raises:
            kgctl.ClusterError: there is no usable kubeconfig, or no credentials can be obtained.
        """
        from urllib.parse import urlsplit

        from kgctl.kube.access.proxy import proxy_for

        access = self.api().access
        return urlsplit(proxy_for(access) or access.server).hostname or ""

    def clock_ahead(self) -> float | None:
        """Return the least number of seconds that this machine's clock is ahead of the server's.

        It is negative if the clock is behind, 0 if both may agree, and None before an answer.
        """
        return None if self._api is None else self._api.clock.ahead()

    def names(self, kind: Kind) -> list[str]:
        """Return the sorted names of all nodes or peers, at the least cost.

        Raises:
            kgctl.ClusterError: they cannot be read.
        """
        return list_names(self.api(), NODES if kind == "nodes" else PEERS)

    def __enter__(self) -> ApiServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept for later requests."""
        if self._api is not None:
            self._api.close()


class _Aside(Generic[T]):
    """A call that runs in its own daemon thread, which never prevents the program's exit."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._call())
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        """Wait for the call, and return its result or raise its error."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._outcome[0]


def _is_kept(access: Access) -> bool:
    from kgctl.kube.access.exec_plugin import is_kept

    return is_kept(access)
