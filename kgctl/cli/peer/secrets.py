"""New keys, and the files that they are kept in: there before the cluster hears of them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.key import PresharedKey, PublicKey, SecretKey


class _Made(NamedTuple):
    what: str
    path: Path
    key: SecretKey


class NewKeys:
    """The keys that are made for a peer, and the file of each."""

    def __init__(self) -> None:
        self._made: list[_Made] = []
        self.private_key_file: Path | None = None
        """Where the private key goes, if one is made."""

    def __bool__(self) -> bool:
        return bool(self._made)

    def key_pair(self, path: Path) -> PublicKey:
        """Make a key pair, the private key to go into ``path``; return the public key."""
        from kgctl.wireguard.keys import PrivateKey

        key = PrivateKey.generate()
        self._made.append(_Made("private key", path, key))
        self.private_key_file = path
        return key.public_key()

    def preshared_key(self, path: Path | None) -> PresharedKey:
        """Make a preshared key, to go into ``path`` too if there is one; return it."""
        from kgctl.wireguard.keys import generate_preshared_key

        key = generate_preshared_key()
        if path is not None:
            self._made.append(_Made("preshared key", path, key))
        return key

    @contextmanager
    def in_files(self) -> Iterator[None]:
        """Write the keys into new files, and remove these again if what is done then fails.

        They stay where the cluster may know the keys nevertheless: that is said on stderr.

        Raises:
            KeyFileError: a file exists, or cannot be written.
        """
        from kgctl.edit.writing import UnfinishedError
        from kgctl.files.writing import remove_own
        from kgctl.wireguard.keys import write_key

        written: list[Path] = []
        try:
            for one in self._made:
                write_key(one.path, one.key)
                written.append(one.path)
            yield
        except UnfinishedError:
            if written:
                paths = ", ".join(printable(str(path)) for path in written)
                note(f"kept, since the cluster may know what is in it: {paths}")
            raise
        except BaseException:
            for path in written:
                with suppress(OSError):  # what went wrong before counts
                    remove_own(path)
            raise

    def tell(self) -> None:
        """Say on stderr where the keys are."""
        for one in self._made:
            note(f"its {one.what} is in {printable(str(one.path))}")


def given_preshared_key(file: Path | None, make: bool) -> PresharedKey | None:
    """Return the preshared key of ``--preshared-key-file``, unless that is for a new one."""
    from kgctl.wireguard.keys import read_preshared_key

    return None if file is None or make else read_preshared_key(file)


def unused(name: str, suffix: str) -> Path:
    """Return ``NAME.key``, or ``NAME-2.key`` and so on: the first that is not there."""
    path, number = Path(f"{name}{suffix}"), 1
    while path.is_symlink() or path.exists():
        number += 1
        path = Path(f"{name}-{number}{suffix}")
    return path


def refuse_both(public_key: str | None, file: Path | None) -> None:
    """Make sure that no file is named for a key that is not made."""
    if public_key is not None and file is not None:
        raise UsageError("--private-key-file is for a key that is made; --public-key names one")
