"""What the owners of one lock hold of it: a state for each, as long as the owner lives or holds something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import weakref

    from redislock._core import Hold
    from redislock._locks.lost import Watch
    from redislock._locks.scope import Owner

__all__ = ["State", "States"]

_MANY = 64  # owners of one lock, before those who are no more are looked for


class State:
    """What one owner holds of one lock. `token` says whether; `hold` may be an earlier one."""

    __slots__ = ("below", "depth", "doubtful", "hold", "token", "watch")

    def __init__(self) -> None:
        self.token: bytes | None = None
        self.hold: Hold | None = None
        self.depth = 0  # how often a reentrant lock was taken again
        self.doubtful = False  # it was given back, and no answer came: it may be somebody else's
        self.watch: Watch | None = None
        self.below: tuple[Any, ...] | None = None  # permits taken before this one

    def push(self) -> None:
        """Makes place for another permit."""
        if self.token is not None:
            self.below = (self.token, self.hold, self.watch, self.below)

    def forget(self, token: bytes) -> None:
        """Holds that no more, unless it holds something else already."""
        if self.token != token:
            return
        self.depth = 0
        self.doubtful = False
        if self.below is None:
            self.token = self.watch = None
        else:
            self.token, self.hold, self.watch, self.below = self.below


class States(dict["weakref.ref[Owner]", State]):
    """The states of a lock by owner; of all reentrant locks of one name together."""

    __slots__ = ("__weakref__", "most")

    def __init__(self) -> None:
        super().__init__()
        self.most = _MANY

    def of(self, owner: Owner) -> State:
        """The one state of that owner."""
        state = self.get(owner.key)
        return self._add(owner) if state is None else state

    def _add(self, owner: Owner) -> State:
        if len(self) >= self.most:
            # An owner that lives may be waiting, and keep in its state what it gets.
            for key, its in list(self.items()):
                if key() is None and its.token is None:
                    self.pop(key, None)
            self.most = max(_MANY, 2 * len(self))
        return self.setdefault(owner.key, State())
