"""Kubeconfigs are found and merged as by kubectl."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.cli.core.hints import message
from kgctl.errors import KubeconfigError
from kgctl.kube.access.kubeconfig import Access, access_by_flags, load_access

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(path: Path, *names: str, current: str | None = None, **user: Any) -> Path:
    """Write a kubeconfig with one cluster, user and context for each name."""
    content: dict[str, Any] = {
        "clusters": [
            {"name": n, "cluster": {"server": f"https://{n}.{path.stem}:6443"}} for n in names
        ],
        "users": [{"name": n, "user": {"token": f"{n}-{path.stem}", **user}} for n in names],
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in names],
    }
    if current:
        content["current-context"] = current
    path.write_text(yaml.safe_dump(content))
    return path


def load(*files: Path, context: str | None = None, **environment: str) -> Access:
    listed = os.pathsep.join(map(str, files))
    return load_access(None, context, {"KUBECONFIG": listed, **environment})


def test_the_first_file_to_set_a_name_wins_whole(tmp_path: Path) -> None:
    one = kubeconfig(tmp_path / "one", "a", current="b")
    two = kubeconfig(tmp_path / "two", "a", "b", current="a", tokenFile="t")
    access = load(one, two, context="a")
    assert (access.server, access.user) == ("https://a.one:6443", {"token": "a-one"})


def test_the_first_file_to_set_the_current_context_wins(tmp_path: Path) -> None:
    none = kubeconfig(tmp_path / "none", "x")
    one = kubeconfig(tmp_path / "one", "a", current="b")
    two = kubeconfig(tmp_path / "two", "b", current="a")
    access = load(none, one, two)
    assert (access.context, access.server) == ("b", "https://b.two:6443")


def test_missing_empty_and_repeated_files_of_a_list_are_passed_over(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    one = kubeconfig(tmp_path / "one", "a", current="a")
    assert load(tmp_path / "missing", empty, one, one).files == (str(empty), str(one))


def test_an_entry_left_empty_is_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "half"
    path.write_text("clusters: null\nusers:\ncontexts: []\ncurrent-context: ''\n")
    one = kubeconfig(tmp_path / "one", "a", current="a")
    assert load(path, one).context == "a"


def test_the_one_file_that_is_named_counts_alone(tmp_path: Path) -> None:
    one = kubeconfig(tmp_path / "one", "a", current="a")
    two = kubeconfig(tmp_path / "two", "b", current="b")
    assert load_access(str(two), None, {"KUBECONFIG": str(one)}).context == "b"


def test_without_a_list_the_home_directory_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube" / "config", "home", current="home")
    assert load_access(None, None, {"HOME": str(tmp_path)}).context == "home"


def test_paths_are_relative_to_the_file_that_holds_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "k"
    content = {
        "clusters": [
            {"name": "c", "cluster": {"server": "https://s", "certificate-authority": "ca.pem"}}
        ],
        "users": [
            {
                "name": "u",
                "user": {
                    "client-certificate": "../u.pem",
                    "client-key": "/etc/u.key",
                    "tokenFile": "token",
                    "exec": {"command": "./login", "apiVersion": "v1"},
                },
            },
        ],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(content))
    access = load(path)
    folder = str(tmp_path / "sub")
    assert access.cluster["certificate-authority"] == f"{folder}/ca.pem"
    assert access.user["client-certificate"] == f"{folder}/../u.pem"
    assert access.user["client-key"] == "/etc/u.key"
    assert access.user["tokenFile"] == f"{folder}/token"
    assert access.user["exec"]["command"] == f"{folder}/login"


def test_a_command_without_a_slash_is_left_for_the_path(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "a", current="a", exec={"command": "aws"})
    assert load(path).user["exec"] == {"command": "aws"}


def test_names_that_yaml_takes_for_numbers_or_dates_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text(
        "clusters: [{name: 1, cluster: {server: 'https://s/'}}]\n"
        "contexts: [{name: 2026-01-01, context: {cluster: 1}}]\ncurrent-context: 2026-01-01\n"
    )
    access = load(path)
    assert (access.context, access.server, access.user) == ("2026-01-01", "https://s", {})


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("prodution", 'did you mean "production"?'),
        ("zzz", "known: production, staging"),
        ("a\n\x1b[31m", "a\\n\\x1b[31m"),
    ],
)
def test_an_unknown_context_names_the_nearest(tmp_path: Path, wanted: str, says: str) -> None:
    path = kubeconfig(tmp_path / "k", "production", "staging", current="staging")
    with pytest.raises(KubeconfigError) as caught:
        load(path, context=wanted)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not valid YAML (line"),
        ("just text", "holds no mapping"),
        ("- a", "holds no mapping"),
        ("clusters: 5", "clusters must be a list"),
        ("users: [{name: a, user: text}]", "users must be a list"),
        ("a: !!python/object/apply:os.system [id]", "not valid YAML"),
        ("contexts: []", "no current-context is set"),
        ("current-context: x", 'no context named "x"'),
        ("[" * 100_000, "not valid YAML"),
        ('{"a": ' * 100_000, "not valid YAML"),
        (
            "contexts: [{name: x, context: {cluster: gone}}]\ncurrent-context: x",
            'names the cluster "gone"',
        ),
        (
            "contexts: [{name: x, context: {cluster: c, user: gone}}]\ncurrent-context: x\n"
            "clusters: [{name: c, cluster: {server: 'https://s'}}]",
            'names the user "gone"',
        ),
        (
            "contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n"
            "clusters: [{name: c, cluster: {server: 'file:///etc/passwd'}}]",
            "must start with https:// or http://",
        ),
    ],
)
def test_what_is_no_kubeconfig_gets_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(KubeconfigError) as caught:
        load(path)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        KubeconfigError, match=r"binary: line 1 is not UTF-16 text: save the file as UTF-8"
    ):
        load(tmp_path / "binary")
    with pytest.raises(KubeconfigError, match="there is no kubeconfig file"):
        load_access(str(tmp_path / "gone"))
    with pytest.raises(KubeconfigError, match="Is a directory"):
        load(tmp_path)


def test_without_any_it_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="set KUBECONFIG") as raised:
        load_access(None, None, {"HOME": str(tmp_path)})
    assert message(raised.value).endswith(
        "set KUBECONFIG, give --kubeconfig FILE, or read files with -f; --example shows an "
        "example, and kgctl init makes a network without Kubernetes"
    )


def test_in_a_pod_without_a_service_account_it_says_so(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.43.0.1"}
    with pytest.raises(KubeconfigError, match="no service account at /var/run/secrets"):
        load_access(None, None, environment)
    with pytest.raises(KubeconfigError, match="no service account at /var/run/secrets"):
        load_access(None, "in-cluster", environment)
    with pytest.raises(KubeconfigError, match="set KUBECONFIG"):
        load_access(None, "in-cluster", {"HOME": str(tmp_path)})


def test_of_several_documents_the_first_counts(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "a", current="a")
    path.write_text(f"---\n{path.read_text()}---\nkind: Node\n")
    assert load(path).context == "a"


def test_a_folder_that_may_not_be_looked_into_is_no_missing_file(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="File name too long"):
        load(tmp_path / ("k" * 300))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_that_editors_and_shells_write(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "k"
    text = (
        "current-context: ü\nclusters: [{name: c, cluster: {server: 'https://h'}}]\n"
        "contexts: [{name: ü, context: {cluster: c}}]\n"
    )
    path.write_bytes(text.replace("\n", end).encode(encoding))
    assert load(path).context == "ü"


def test_numbers_are_the_text_that_they_are_written_as(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text(
        "current-context: 1e3\ncontexts: [{name: 1e3, context: {cluster: 08, user: 0x1F}}]\n"
        "clusters: [{name: 08, cluster: {server: 'https://h'}}]\n"
        "users: [{name: 0x1F, user: {token: 12e03}}]\n"
    )
    access = load(path)
    assert (access.context, access.user["token"]) == ("1e3", "12e03")


@pytest.mark.parametrize("scheme", ["https", "http", "HTTPS", "ftp"])
def test_a_password_in_the_url_of_a_server_is_never_shown(scheme: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps({
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"{scheme}://me:hidden@127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
    }))  # fmt: skip
    try:
        shown = load_access(str(path)).server
    except KubeconfigError as error:
        shown = str(error)
    assert "127.0.0.1:1" in shown
    assert "hidden" not in shown.replace(str(path), "")


def test_a_daemon_in_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    folder = tmp_path / ".kube"
    folder.mkdir()
    file = kubeconfig(folder / "config", "a", current="a")
    home = {"HOME": str(tmp_path)}
    pod = {**home, "KUBERNETES_SERVICE_HOST": "10.43.0.1"}
    with pytest.raises(KubeconfigError, match="no service account"):
        access_by_flags(environment=pod)
    assert access_by_flags(environment=home) == load_access(None, None, home)
    assert access_by_flags(str(file), environment=pod).server == "https://a.config:6443"
    assert access_by_flags(context="a", environment=pod).server == "https://a.config:6443"


def test_a_server_replaces_that_of_the_kubeconfig_or_goes_alone(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "k", "a", current="a")
    pod = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.43.0.1"}
    access = access_by_flags(str(file), server="https://user:pass@h:7443/", environment=pod)
    assert (access.server, access.user) == ("https://h:7443", {"token": "a-k"})
    plain = access_by_flags(str(file), server="http://h:8080", environment=pod)
    assert (plain.server, plain.user) == ("http://h:8080", {})
    alone = access_by_flags(server="https://h:7443", environment=pod)
    assert (alone.server, alone.user, alone.cluster) == ("https://h:7443", {}, {})
    for wrong in ("h:7443", "ftp://h", "https://h:x"):
        with pytest.raises(KubeconfigError):
            access_by_flags(server=wrong, environment=pod)
