"""The API server for tests: its contents and its users."""

from __future__ import annotations

import contextlib
import http
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kgctl.render.agent_manifests import peers_definition
from tests.apiserver.client import CONNECTIONS, RESOURCES, Client, RefusedError, apply_all
from tests.apiserver.control_plane import ControlPlane, Settings
from tests.apiserver.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

RBAC = Path(__file__).parents[2] / "docs" / "rbac.yaml"
CRD_NAME = "peers.kilo.squat.ai"
SLICES_API = "discovery.k8s.io"
RBAC_API = "rbac.authorization.k8s.io"
SETTLE_TIMEOUT = 60.0
"""Seconds that the server gets until what was written has come into force."""


class ApiServer:
    """A kube-apiserver that knows peers, and the users of docs/rbac.yaml and of ``TOKEN_USERS``.

    Between tests it is shared: whoever writes to it says first what it holds (``clear``, then
    ``apply``), and whoever stops it starts it again.
    """

    def __init__(self, binaries: Path, state: Path) -> None:
        self.users = Users(state)
        self._plane = ControlPlane(Settings(binaries, state, self.users.admin_token))

    @property
    def url(self) -> str:
        """Where it listens; the same again after ``stop`` and ``start``."""
        return self._plane.url

    @property
    def ca(self) -> Path:
        """The certificate of the authority that signed the server's, in PEM."""
        return self.users.ca

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the user who may do everything."""
        return self.token_user("admin")

    def launch(self) -> None:
        """Start it, and install what every cluster with Kilo has.

        Raises:
            StartError: it did not become ready.
        """
        self.users.write_server_files()
        self._plane.launch()
        self.install_peers_crd()
        self.apply(yaml.safe_load_all(RBAC.read_text()))
        self._grant("nodes-only", [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}])
        self._await_access("reader", "", "nodes", "list", groups=["kgctl-readers"])

    def stop(self) -> None:
        """End it, so that nobody listens at its address; ``start`` brings back what it held."""
        self._plane.stop()

    def start(self) -> None:
        """Start it again after ``stop``."""
        self._plane.start()

    @contextlib.contextmanager
    def rolled_back(self) -> Iterator[Callable[[], None]]:
        """Keep a backup; the function that comes with it brings the server back from there.

        What was written since is gone, and resource versions count from what they were.
        """
        with self._plane.backup() as restore:
            yield restore

    def close(self) -> None:
        """End it for good."""
        self._plane.close()

    # --- what it holds ---

    def request(
        self, method: str, path: str, body: object = None, content: str = "application/json"
    ) -> Any:
        """The decoded answer to a request of the admin's."""
        with self._admin() as client:
            return client.request(method, path, body, content)

    def apply(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Create or replace objects of the kinds in ``RESOURCES``, many at once.

        A List object stands for the objects in it.
        """
        flat = [item for obj in objects for item in obj.get("items", [obj])]
        with contextlib.ExitStack() as stack:
            count = max(1, min(CONNECTIONS, len(flat)))
            apply_all([stack.enter_context(self._admin()) for _ in range(count)], flat)

    def clear(self) -> None:
        """Delete all nodes and peers."""
        for kind in ("Node", "Peer"):
            self.request("DELETE", RESOURCES[kind])

    @property
    def slices_api(self) -> str:
        """The API version of EndpointSlices: v1 since Kubernetes 1.21, v1beta1 until 1.24."""
        served = self.request("GET", f"/apis/{SLICES_API}")["versions"]
        versions = {one["groupVersion"] for one in served}
        return f"{SLICES_API}/v1" if f"{SLICES_API}/v1" in versions else f"{SLICES_API}/v1beta1"

    @property
    def tells_services(self) -> bool:
        """Whether it has ServiceCIDR objects, as every server since Kubernetes 1.33."""
        try:
            return bool(self.request("GET", "/apis/networking.k8s.io/v1/servicecidrs")["items"])
        except RefusedError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise
            return False

    def install_peers_crd(self) -> None:
        """Have the server know peers, and wait until it lists and stores them."""
        self.apply([peers_definition()])
        _await(self._serves_peers)
        probe = {
            "apiVersion": "kilo.squat.ai/v1alpha1",
            "kind": "Peer",
            "metadata": {"name": "probe"},
            "spec": {"allowedIPs": [], "publicKey": "probe"},
        }
        self.request("POST", f"{RESOURCES['Peer']}?dryRun=All", probe)

    @contextlib.contextmanager
    def without_peers_crd(self) -> Iterator[None]:
        """A while in which the server knows no peers; those that it held are gone."""
        self.request("DELETE", f"{RESOURCES['CustomResourceDefinition']}/{CRD_NAME}")
        _await(lambda: not self._serves_peers())
        try:
            yield
        finally:
            self.install_peers_crd()

    # --- who may read it ---

    def token_user(self, name: str) -> Path:
        """The kubeconfig of one of ``TOKEN_USERS``."""
        return self.write_kubeconfig(name, self.users.with_token(name))

    def user(self, name: str, rules: Sequence[Mapping[str, Any]] = ()) -> Path:
        """The kubeconfig of a user with a certificate, who may do what the RBAC rules say."""
        if rules:
            self._grant(name, rules)
        return self.write_kubeconfig(name, self.users.with_certificate(name))

    def expired_certificate_user(self) -> Path:
        """The kubeconfig of a user whose certificate ran out yesterday."""
        user = self.users.with_certificate("expired", expired=True)
        return self.write_kubeconfig("expired-certificate", user)

    def expired_token_user(self) -> Path:
        """The kubeconfig of a user whose token ran out an hour ago."""
        return self.write_kubeconfig("expired-token", self.users.with_expired_token())

    def write_kubeconfig(
        self, name: str, user: Mapping[str, Any], *, url: str | None = None, ca: Path | None = None
    ) -> Path:
        """A kubeconfig whose only context is ``name``; ``url`` and ``ca`` lead it elsewhere."""
        return self.users.write_kubeconfig(name, user, url or self.url, ca or self.ca)

    def _grant(self, name: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Let a user do what the rules say, and wait until the server does."""
        role = {"apiVersion": f"{RBAC_API}/v1", "kind": "ClusterRole", "metadata": {"name": name}}
        subject = {"apiGroup": RBAC_API, "kind": "User", "name": name}
        reference = {"apiGroup": RBAC_API, "kind": "ClusterRole", "name": name}
        binding = {**role, "kind": "ClusterRoleBinding", "roleRef": reference}
        self.apply([{**role, "rules": rules}, {**binding, "subjects": [subject]}])
        last = rules[-1]
        self._await_access(name, last["apiGroups"][0], last["resources"][0], last["verbs"][0])

    def _await_access(
        self, user: str, group: str, resource: str, verb: str, *, groups: Sequence[str] = ()
    ) -> None:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user,
                "groups": list(groups),
                "resourceAttributes": {"group": group, "resource": resource, "verb": verb},
            },
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        _await(lambda: bool(self.request("POST", path, review)["status"]["allowed"]))

    def _serves_peers(self) -> bool:
        try:
            self.request("GET", RESOURCES["Peer"])
        except RefusedError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    def _admin(self) -> Client:
        return Client(self.url, self.ca, self.users.admin_token)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "the API server did not do what it was told"
        time.sleep(0.05)
