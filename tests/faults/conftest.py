"""What tests of faults share with the fundamentals: people, workers, and servers to fail."""

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
