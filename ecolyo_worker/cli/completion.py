"""`--install-completion`: shells that complete commands and options."""

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ecolyo_worker.cli.session import Session
from ecolyo_worker.errors import CommandRefused

__all__ = ["register"]

Shell = Literal["bash", "zsh", "fish"]

_SAY_WHICH = "it is not known which shell this is; say --shell bash, zsh or fish"


def register(app: App) -> None:
    """Add this command, which knows all those of the application."""

    def install_completion(
        *,
        shell: Shell | None = None,
        script: bool = False,
        session: Annotated[Session, Parameter(parse=False)],
    ) -> None:
        """Let your shell complete the commands and options of this program.

        Writes a script to where your shell looks for it, and for bash and zsh a line into .bashrc
        or .zshrc, once.

        Parameters
        ----------
        shell
            Which shell; default: the one that runs this.
        script
            Print the script, and write nothing.

        Examples
        --------
        ecolyo-worker --install-completion --shell bash
        """
        chosen = shell or _detected()
        if script:
            sys.stdout.write(app.generate_completion(shell=chosen))
            return
        path = app.install_completion(shell=chosen)
        session.output.line(f"{path}: written; it works in the next {chosen} that you start")

    app.command(install_completion, name="--install-completion")


def _detected() -> Shell:
    from cyclopts.completion import ShellDetectionError, detect_shell  # no other command needs it

    try:
        found = detect_shell()
    except ShellDetectionError:
        raise CommandRefused(_SAY_WHICH) from None
    if found == "powershell":
        raise CommandRefused(_SAY_WHICH)
    return found
