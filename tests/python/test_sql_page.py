"""docs/sql.md keeps its word: its snippets run in order and print what they say; each strategy is there."""

import contextlib
import io
import re
from pathlib import Path

from redislock import sql

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")


def test_the_snippets_print_what_they_say():
    names = {}
    try:
        for snippet in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(snippet, names)
            promised = re.findall(r"^ *print\(.*\)  # (.+)$", snippet, re.MULTILINE)
            assert said.getvalue().splitlines() == promised, snippet
    finally:
        names["client"].close()
        names["server"].stop()


def test_every_strategy_is_named():
    assert all(f"| `{name}` |" in PAGE for name in sql.STRATEGIES)
