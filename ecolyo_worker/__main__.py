"""`python -m ecolyo_worker` is the command line."""

from ecolyo_worker.cli import main

main()
