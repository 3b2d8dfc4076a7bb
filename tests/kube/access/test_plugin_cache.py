"""Answers of exec plugins: kept until they expire, for the same user and account only."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.errors import CredentialsError
from kgctl.kube.access.credentials import resolve_credentials
from kgctl.kube.access.exec_plugin import is_kept
from kgctl.kube.access.plugin_cache import SWITCH, keep_answer, kept_answer, plugin_identity
from tests.kube.access.test_credentials import V1, access, plugin

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(SWITCH, raising=False)
    return tmp_path / "cache" / "kgctl" / "credentials"


def soon(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat().replace("+00:00", "Z")


def counting(tmp_path: Path, expires: str | None, **settings: Any) -> dict[str, Any]:
    """A user whose plugin gives another token each time that it runs: t1, t2 ..."""
    status = {} if expires is None else {"expirationTimestamp": expires}
    code = f"""
count = open({str(tmp_path / "count")!r}, "a+"); count.write("x"); count.seek(0)
status = dict({status!r}, token="t%d" % len(count.read()))
print(json.dumps({{"apiVersion": {V1!r}, "kind": "ExecCredential", "status": status}}))"""
    return plugin(tmp_path, code, **settings)


def token(user: dict[str, Any], *, renew: bool = False) -> str | None:
    return resolve_credentials(access(user), renew=renew).token


def test_an_answer_is_kept_until_it_expires(tmp_path: Path, cache: Path) -> None:
    user = counting(tmp_path, soon(hours=1))
    assert not is_kept(access(user))
    assert [token(user), token(user)] == ["t1", "t1"]
    assert is_kept(access(user))
    (file,) = cache.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "expires", [None, "soon", 7, "2020-01-01T00:00:00Z", "2999-01-01T00:00:00"]
)
def test_an_answer_without_a_later_end_is_not_kept(tmp_path: Path, expires: Any) -> None:
    user = counting(tmp_path, expires)
    assert [token(user), token(user)] == ["t1", "t2"]


def test_an_answer_that_expires_at_once_is_not_used(tmp_path: Path) -> None:
    user = counting(tmp_path, soon(seconds=30))
    assert [token(user), token(user)] == ["t1", "t2"]


def test_a_refused_answer_is_replaced(tmp_path: Path) -> None:
    user = counting(tmp_path, soon(hours=1))
    assert [token(user), token(user, renew=True), token(user)] == ["t1", "t2", "t2"]


def test_an_expired_answer_is_removed(cache: Path) -> None:
    keep_answer("a", json.dumps({"status": {"expirationTimestamp": soon(hours=1)}}).encode())
    (cache / "a").write_text(json.dumps({"status": {"expirationTimestamp": soon(hours=-1)}}))
    assert kept_answer("a") is None
    assert not list(cache.iterdir())


def test_another_account_has_another_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = counting(tmp_path, soon(hours=1))
    assert token(user) == "t1"
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert token(user) == "t2"
    monkeypatch.setenv("PWD", "/elsewhere")
    assert token(user) == "t2"


def test_each_part_of_a_plugin_counts() -> None:
    names = {
        plugin_identity(["aws", "token"], {"A": "b"}, "https://one"),
        plugin_identity(["aws", "token"], {"A": "b"}, "https://two"),
        plugin_identity(["aws", "tok", "en"], {"A": "b"}, "https://one"),
        plugin_identity(["aws", "token"], {"A": "c"}, "https://one"),
    }
    assert len(names) == 4


def test_it_can_be_turned_off(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    user = counting(tmp_path, soon(hours=1))
    assert [token(user), token(user)] == ["t1", "t2"]
    assert not cache.exists()


def test_without_a_writable_cache_the_plugin_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    user = counting(tmp_path, soon(hours=1))
    assert [token(user), token(user)] == ["t1", "t2"]


def test_a_directory_that_others_write_to_is_not_trusted(tmp_path: Path, cache: Path) -> None:
    user = counting(tmp_path, soon(hours=1))
    assert token(user) == "t1"
    cache.chmod(0o777)
    assert token(user) == "t2"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, cache: Path) -> None:
    user = counting(tmp_path, soon(hours=1))
    assert token(user) == "t1"
    (file,) = cache.iterdir()
    (tmp_path / "planted").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "planted")
    assert token(user) == "t2"


def test_a_kept_answer_is_checked_like_a_new_one(tmp_path: Path, cache: Path) -> None:
    user = counting(tmp_path, soon(hours=1))
    assert token(user) == "t1"
    (file,) = cache.iterdir()
    file.write_text(file.read_text().replace("t1", r"t\n1"))
    with pytest.raises(CredentialsError, match="invalid in a token"):
        token(user)
