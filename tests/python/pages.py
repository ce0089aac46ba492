"""Pages of the documentation whose snippets the tests run."""

import contextlib
import io
import re


def snippets(text):
    """Return the Python snippets of a page."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_snippets(text):
    """Run them one after the other in one namespace, and see that they print what they say."""
    names = {}
    try:
        for snippet in snippets(text):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(snippet, names)
            promised = re.findall(r"^ *print\(.*\)  # (.+)$", snippet, re.MULTILINE)
            assert said.getvalue().splitlines() == promised, snippet
    finally:
        for each in {"client", "db", "bank", "r"} & set(names):
            names[each].close()
        if "server" in names:
            names["server"].stop()
