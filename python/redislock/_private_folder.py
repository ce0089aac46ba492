"""A temporary folder that only its owner enters, and that does not outlive it for long.

Where the owner is killed and cannot remove it, the next one to make such a folder does. That the
owner lives is said by a lock which the kernel lets go of with the process, so that neither reused
process ids nor containers with a common /tmp can mislead anybody. It knows nothing of servers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

_PREFIX: Final = "redislock-"
_LOCK: Final = "owner"


class PrivateFolder:
    """A new folder with mode 0700, at most `longest` bytes deep where the system allows it."""

    def __init__(self, *, longest: int) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if len(os.fsencode(self.path)) > longest:
            self.path.rmdir()
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
        fresh = self.path / "fresh"
        self._lock = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(self.path / _LOCK)  # only now, locked, does it say whether anybody lives

    @property
    def lock(self) -> int:
        """The descriptor of the lock: a child that inherits it keeps the folder alive as well."""
        return self._lock

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _sweep(place: Path) -> None:
    """Remove the folders of this user whose owners are gone."""
    with contextlib.suppress(OSError):
        for each in place.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                _remove_if_abandoned(each)


def _remove_if_abandoned(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
