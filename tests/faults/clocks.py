"""Wall clocks that are set while a program runs; the monotonic one is left alone."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static long long jump(void) { %s }
int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, at);
    if (which == CLOCK_REALTIME) {
        long long now = at->tv_sec * 1000000000LL + at->tv_nsec + jump();
        at->tv_sec = now / 1000000000LL;
        at->tv_nsec = now %% 1000000000LL;
    }
    return code;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""

WILD = """
    static _Atomic int calls;
    static const long long seconds[] = {0, 86400, -86400, 31536000, -31536000, 7};
    return seconds[calls++ % 6] * 1000000000LL;
"""

AS_TOLD = """
    static volatile long long *offset;
    if (!offset) {
        int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY);
        offset = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    }
    return *offset;
"""

needs_shims = [
    pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's"),
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler to make a jumping clock with"),
]


def compile_shim(folder: Path, jump: str) -> Path:
    """Make a library that, loaded first, moves the wall clock by nanoseconds."""
    source, shim = folder / "clock.c", folder / "clock.so"
    source.write_text(SOURCE.replace("%s", jump).replace("%%", "%"), encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return shim


class Clock:
    """The clock of whatever program is started by `wrap`."""

    def __init__(self, folder: Path) -> None:
        self._shim = compile_shim(folder, AS_TOLD)
        self._folder = folder
        self._place = folder / "offset"
        self._place.write_bytes(bytes(8))
        with self._place.open("r+b") as file:
            self._offset = mmap.mmap(file.fileno(), 8)

    def wrap(self, program: str) -> str:
        """Return a program that is that one, on this clock."""
        script = self._folder / "on-this-clock"
        ours = f"LD_PRELOAD='{self._shim}' CLOCK_OFFSET_FILE='{self._place}'"
        script.write_text(f"#!/bin/sh\n{ours} exec '{program}' \"$@\"\n", encoding="utf-8")
        script.chmod(0o755)
        return str(script)

    def set(self, seconds: float) -> None:
        """Set it so much ahead of the true one, or behind."""
        self._offset[:] = struct.pack("q", round(seconds * 1e9))
