"""What tests of faults share with the fundamentals: people, workers, and servers to fail."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fundamentals.conftest import agree as agree
from tests.fundamentals.conftest import due as due
from tests.fundamentals.conftest import echo as echo
from tests.fundamentals.conftest import fill as fill
from tests.fundamentals.conftest import polling as polling
from tests.fundamentals.conftest import quick as quick
from tests.fundamentals.conftest import rows as rows
from tests.fundamentals.conftest import settings as settings
from tests.fundamentals.conftest import wire as wire
from tests.fundamentals.conftest import worker as worker
from tests.fundamentals.test_poller import life as life
from tests.integration.conftest import serve as serve
from tests.integration.conftest import token_file as token_file
from tests.machine_time import machine_time as machine_time
from tests.nights import nights as nights
from tests.process.conftest import run as run

# Syncs fail as they do on a disk that is going, while there is a file of this name.
FAILING_SYNC = """
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int sync_by(long number, int fd) {
    const char *sign = getenv("FAIL_SYNC_WHILE");
    if (sign && access(sign, F_OK) == 0) { errno = EIO; return -1; }
    return syscall(number, fd);
}
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }
int fsync(int fd) { return sync_by(SYS_fsync, fd); }
"""


@pytest.fixture(scope="session")
def failing_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to preload: syncs fail while there is a file named by `FAIL_SYNC_WHILE`."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (Debian: gcc, libc6-dev)")
    place = tmp_path_factory.mktemp("sync")
    source, library = place / "sync.c", place / "sync.so"
    source.write_text(FAILING_SYNC)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library
