"""One process of several that put a strategy under load together: the side of the child.

`_fleet` starts it. Snapshots and one report go out. It makes and removes no account.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from redislock import _core
from redislock._client import Client
from redislock._crew import serve

__all__ = ["main"]

_SLICE: Final = 0.05  # seconds between two snapshots


def main() -> None:
    """Serve one job: from standard input to standard output."""
    with serve() as parent:
        job = parent.job
        with Client(job["url"], prefix=job["prefix"], **job["options"]) as client:
            generator = _core.LoadGenerator(
                client._options,  # noqa: SLF001 - the very server of the client
                prefix=job["prefix"],
                accounts=[str(each) for each in range(1, job["accounts"] + 1)],
                **job["settings"],
            )
            if parent.may_begin():
                parent.obey(generator.stop, generator.abort)
                while generator.step(_SLICE):
                    parent.say({"snapshot": generator.snapshot()})
                parent.say({"report": _portable(generator)})
            generator.close()


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
