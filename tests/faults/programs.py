"""Programs in processes of their own, for what a test cannot do to itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

HERE = str(Path(__file__).parent)
PRELUDE = f"import sys; sys.path.insert(0, {HERE!r})\n"


def environment() -> dict[str, str]:
    """Return the environment, but for leaks: programs that end in the middle of everything have some."""
    return os.environ | {"ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0"}


def start(source: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start a Python program; it reads and writes text lines."""
    process: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-u", "-c", PRELUDE + dedent(source), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,  # type: ignore[call-overload]
    )
    return process


def finish(process: subprocess.Popen[str], seconds: float = 30.0) -> str:
    """Wait for a good end and return the output; a bad end or a hang fails, with what was said."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise AssertionError(f"the program hangs\n{output}\n{errors}") from None
    assert process.returncode == 0, f"exit code {process.returncode}\n{output}\n{errors}"
    return output


def run(source: str, *arguments: str, seconds: float = 30.0) -> str:
    """Run a program to its good end and return its output."""
    return finish(start(source, *arguments), seconds)
