"""Energy accounts: whether what they need is there, where they are set up."""

import stat
from collections.abc import Iterator
from pathlib import Path

from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.checks.settings import secret_problem
from ecolyo_worker.errors import ConfigurationError, StateRefused
from ecolyo_worker.remote import oauth
from ecolyo_worker.settings import Settings
from ecolyo_worker.store.keys import read_key
from ecolyo_worker.store.sealing import key_path, require_cryptography

__all__ = ["check_energy"]

_CHECK = "energy accounts"


def check_energy(settings: Settings) -> Iterator[Finding]:
    """Look at the package, the secrets and the key; what these hold is not told."""
    sections = [section for section in (settings.enedis, settings.grdf) if section.is_set]
    if not sections:
        yield note(_CHECK, "none: neither enedis.client_id nor grdf.client_id is set")
        return
    try:
        require_cryptography()
    except ConfigurationError:
        found = "without cryptography no token can be kept"
        yield failed(_CHECK, found, 'pip install "ecolyo-worker[energy]"')
    files = {file.setting: file for file in oauth.secret_files(settings.enedis, settings.grdf)}
    for section in sections:
        key = f"{section.section}.client_secret_file"
        if key not in files:
            advice = "write it into a file of the service, and name that"
            yield failed(_CHECK, f"{key}: there is no secret of {section.client_id}", advice)
    for file in files.values():
        problem = secret_problem(file)
        if problem is not None:
            yield failed(_CHECK, problem.message, "put the file right; no restart is needed")
        else:
            yield ok(_CHECK, f"{file.setting}: {file.path}, which others cannot read")
    yield _key(key_path(settings.energy.key_file, settings.directory))


def _key(path: Path) -> Finding:
    try:
        is_there = read_key(path) is not None
        mode = path.stat().st_mode if is_there else 0
    except (StateRefused, OSError) as error:
        return failed(_CHECK, str(error), "put back the key that the tokens were encrypted with")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        words = f"{path}: others can read the key of the tokens"
        return failed(_CHECK, words, f"chmod 600 {path}")
    if not is_there:
        return note(_CHECK, f"{path}: the key of the tokens is made at the first need")
    return ok(
        _CHECK, f"{path}: the key of the tokens, which others cannot read; it is in no backup"
    )
