"""The command `redislock`, also ``python -m redislock``.

It only looks whether the extra `cli` is installed; the commands themselves are in `redislock.cli`.
"""

from __future__ import annotations

import importlib.util
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        return _main()
    except KeyboardInterrupt:  # while it is imported; later the commands see to it
        return 130


def _main() -> int:
    missing = [name for name in ("typer", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"redislock: the command line needs {' and '.join(missing)}; "
            "install it with: pip install 'redislock[cli]'\n"
        )
        return 2
    from redislock.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
