"""mypy --strict accepts the uses of the API in tests/typing, and refuses those that are marked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import redislock
from redislock import _core

pytest.importorskip("mypy")

ROOT = Path(__file__).parents[2]
STUB = Path(_core.__file__).with_name("_core.pyi")

pytestmark = pytest.mark.skipif(not STUB.exists(), reason="a sanitized build has no stubs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The package in one folder, as it is installed; an editable one is scattered."""
    where = tmp_path_factory.mktemp("mypy")
    for each in redislock.__path__:
        shutil.copytree(
            each,
            where / "redislock",
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("*.so", "__pycache__"),
        )
    shutil.copy(STUB, where / "redislock")
    (where / "redislock" / "py.typed").touch()
    return where


def check(what, folder):
    command = ["-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", folder / "cache", what]
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(folder)},
    )


def test_the_uses_of_the_api_are_well_typed(folder):
    done = check(ROOT / "tests" / "typing", folder)
    assert done.returncode == 0, done.stdout


def test_a_wrong_use_would_be_found(folder):
    wrong = folder / "wrong.py"
    wrong.write_text("import redislock\nredislock.withdraw_lua('alice', 1.5)\n", encoding="utf-8")
    done = check(wrong, folder)
    assert done.returncode == 1
    assert "arg-type" in done.stdout
