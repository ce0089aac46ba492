"""What a round trip of a SQL strategy means, in words: who did what, and at which moment it was saved.

Looks at what was sent and what came back, and at nothing else.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

from redislock.sql import _statements as texts
from redislock.sql._faults import RefusedError

if TYPE_CHECKING:
    from redislock.sql._statements import Statement
    from redislock.sql._statements import Step as Sent
    from redislock.sql._strategies import Rows

__all__ = ["Moment"]

_SHORT: Final = {
    texts.READ: "SELECT balance",
    texts.READ_VERSION: "SELECT balance, version",
    texts.READ_FOR_UPDATE: "SELECT ... FOR UPDATE",
    texts.BEGIN: "BEGIN",
    texts.BEGIN_SERIALIZABLE: "BEGIN SERIALIZABLE",
    texts.COMMIT: "COMMIT",
    texts.ROLLBACK: "ROLLBACK",
}
_CONFLICTS: Final = ("40001", "40P01")


@dataclasses.dataclass(frozen=True)
class Moment:
    """One round trip, and what was known around it."""

    buyer: str
    step: Sent
    answer: list[Rows] | RefusedError | None
    """None where there is none yet: it waits for a row's lock."""
    values: dict[str, Any]
    before: int | None
    """What the account held."""
    after: int | None
    wrote: str
    """Who changed it last."""
    waited: bool
    """Whether the answer had to be waited for."""

    @property
    def asks(self) -> str:
        """What was asked, in short."""
        return ", ".join(_SHORT.get(each, "UPDATE") for each in self.step.statements)

    @property
    def sent(self) -> tuple[str, ...]:
        """All statements that went out together."""
        return tuple(_plain(each, self.values) for each in self.step.statements)

    @property
    def received(self) -> tuple[str, ...]:
        """Their answers."""
        if self.answer is None:
            return ()
        if isinstance(self.answer, RefusedError):
            return (self.answer.message,)
        return tuple(map(_shown, self.answer))

    def told(self) -> dict[str, str]:
        """What it does, what came back in short, and at which moment something was saved or lost."""
        if self.answer is None:
            return self._words("waits for the row", "none yet", saved=self._locked())
        if isinstance(self.answer, RefusedError):
            saved = self._conflict(self.answer.state) if self.answer.state in _CONFLICTS else ""
            return self._words("refused, rolled back", self.answer.state, saved=saved)
        rows = next((each for each in self.answer if each), [])
        if texts.ROLLBACK in self.step.statements:
            return self._words("ROLLBACK", "ROLLBACK")
        if not any(each.writes for each in self.step.statements):
            return self._look(rows)
        return self._write(rows) if rows else self._found_nothing()

    @staticmethod
    def _words(does: str, answer: str, *, saved: str = "", lost: str = "") -> dict[str, str]:
        return {"does": does, "answer": answer, "saved": saved, "lost": lost}

    @property
    def _other(self) -> str:
        return self.wrote or "somebody"

    @property
    def _kind(self) -> str:
        return self.step.statements[0].name.decode().removeprefix("redislock_")

    def _locked(self) -> str:
        return (
            f"row locked: {self.buyer} gets no answer before the one that has locked it has committed, "
            "so it does not act on a balance that is about to change"
        )

    def _conflict(self, state: str) -> str:
        return (
            f"SQLSTATE {state}: {self._other} wrote since {self.buyer} read, so nothing of {self.buyer} "
            "was applied; it pauses and begins anew"
        )

    def _look(self, rows: Rows) -> dict[str, str]:
        seen = "nothing" if not rows else str(int(rows[0][0]))
        statements = self.step.statements
        if texts.READ_FOR_UPDATE in statements:
            return self._words(f"{'has the row now' if self.waited else 'locks the row'}, reads {seen}", seen)
        if texts.READ_VERSION in statements and rows:
            return self._words(f"reads {seen}, version {int(rows[0][1])}", seen)
        return self._words(f"reads {seen}", seen)

    def _found_nothing(self) -> dict[str, str]:
        if self._kind != "swap":
            return self._words("UPDATE finds too little", "no row")
        saved = (
            f"the version is not the {self.values['seen']} that {self.buyer} read: {self._other} wrote "
            f"since, so nothing of {self.buyer} was applied; it looks again"
        )
        return self._words("UPDATE finds no such version", "no row", saved=saved)

    def _write(self, rows: Rows) -> dict[str, str]:
        left = str(int(rows[0][0]))
        if self._kind == "write" and len(self.step.statements) == 1:
            read = self.values["balance"] + self.values["amount"]
            lost = ""
            if read != self.before:
                lost = (
                    f"the account held {self.before} by now, and not the {read} that {self.buyer} read: "
                    f"what {self._other} took is forgotten"
                )
            return self._words(f"writes {left}", left, lost=lost)
        saved = ""
        if self._kind == "take" and self.wrote not in ("", self.buyer):
            saved = (
                f"looking and taking are one statement: {self.buyer} meets the {self.before} that "
                f"{self.wrote} left, and nobody comes in between"
            )
        return self._words(f"UPDATE: {self.before} - {self.values['amount']} = {left}", left, saved=saved)


def _plain(statement: Statement, values: dict[str, Any]) -> str:
    """The statement as a person would type it: without the line of history, and with its values."""
    text = statement.postgres.decode()
    if found := re.match(r"WITH changed AS \((.*?) RETURNING", text):
        text = found[1]

    def value(found: re.Match[str]) -> str:
        name = statement.parameters[int(found[1]) - 1]
        return "'stock'" if name == "user" else str(values.get(name))

    return re.sub(r"\$(\d+)::\w+", value, text)


def _shown(rows: Rows) -> str:
    shown = [", ".join(each.decode() if each is not None else "null" for each in row) for row in rows]
    return "; ".join(shown) or "no row"
