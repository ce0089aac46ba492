"""One process of several that put a strategy under load together: the side of the child.

`_fleet` starts it and speaks with it in lines of JSON: a job comes in, then ``go``, ``stop`` or
``abort``; ``ready``, snapshots and one report go out. It makes and removes no account. When its
parent is gone, it ends.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, Final

from redislock import _core
from redislock._client import Client

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main"]

_SLICE: Final = 0.05  # seconds between two snapshots


def main() -> None:
    """Serve one job: from standard input to standard output."""
    inbox = sys.stdin
    # What anything else prints must not get between the lines.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as outbox:
        os.dup2(2, 1)
        job = json.loads(inbox.readline())
        with Client(job["url"], prefix=job["prefix"], **job["options"]) as client:
            generator = _core.LoadGenerator(
                client._options,  # noqa: SLF001 - the very server of the client
                prefix=job["prefix"],
                accounts=[str(each) for each in range(1, job["accounts"] + 1)],
                **job["settings"],
            )
            _say(outbox, {"ready": True})
            if inbox.readline().strip() == "go":
                _run(generator, inbox, outbox)
            generator.close()


def _run(generator: _core.LoadGenerator, inbox: IO[str], outbox: IO[str]) -> None:
    # A daemon: it sits in a read that only the parent can end.
    threading.Thread(target=_obey, args=(generator, inbox), daemon=True).start()
    while generator.step(_SLICE):
        _say(outbox, {"snapshot": generator.snapshot()})
    _say(outbox, {"report": _portable(generator)})


def _obey(generator: _core.LoadGenerator, inbox: IO[str]) -> None:
    for line in inbox:
        if line.strip() == "stop":
            generator.stop()
        elif line.strip() == "abort":
            generator.abort()
    generator.abort()  # the parent is gone, or has all that it wants
    os._exit(0)


def _portable(generator: _core.LoadGenerator) -> dict[str, Any]:
    """Return the report with all that several of them are merged from."""
    seen = dict(generator.report())
    fatal = seen["fatal"]
    seen["fatal"] = None if fatal is None else [type(fatal).__name__, str(fatal)]
    seen["histograms"] = {
        name: base64.b64encode(each).decode() for name, each in generator.histograms().items()
    }
    seen["accounts"] = [[at, each] for at, each in enumerate(seen["accounts"]) if any(each.values())]
    return seen


def _say(outbox: IO[str], message: Mapping[str, Any]) -> None:
    try:
        outbox.write(json.dumps(message) + "\n")
        outbox.flush()
    except BrokenPipeError:
        os._exit(0)
