"""Options that several commands have, each named alike in every help."""

from typing import Annotated

from cyclopts import Parameter

__all__ = ["Account", "Day", "Instance", "Month", "Time"]

Day = Annotated[str | None, Parameter(metavar="YYYY-MM-DD")]
Month = Annotated[str | None, Parameter(metavar="YYYY-MM")]
Time = Annotated[str | None, Parameter(metavar="TIME")]
Instance = Annotated[str | None, Parameter(metavar="NAME")]
Account = Annotated[int | None, Parameter(metavar="NUMBER")]
