"""What the command line tells of itself: the ends of `--help`, and the page of all commands.

Everything is read off the commands: their parameters, and their docstrings, in which `Returns` has
the exit codes that are a command's own, and `Examples` lines that could be typed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cyclopts import App, ArgumentCollection
from docstring_parser import DocstringStyle, parse
from msgspec import Struct

__all__ = ["Manual", "Option", "add_epilogues", "manuals", "options_of_every_command"]

_KINDS = {bool: "", int: "a whole number", float: "a number", Path: "a path"}

# How a command does beside a running service, where it does not ask that one.
_BY_ITSELF = {
    "check-config": "works: it reads settings only",
    "config show": "works: it reads settings only",
    "demo": "works, in a directory of its own",
    "doctor": "works, and asks it too",
    "--install-completion": "works: it needs no state",
    "run": "is refused (73): a state has one service",
    "version": "works: it tells of itself",
}
_ASKS = "asks the service"


class Option(Struct, frozen=True, kw_only=True):
    """An option of a command, or an argument."""

    name: str
    """With its dashes; of an argument in capitals."""
    takes: str
    """What kind of value; empty for one that is said or not."""
    purpose: str
    default: str
    """Empty where there is none."""
    is_required: bool
    is_argument: bool

    @property
    def usage(self) -> str:
        """How it stands in the line of usage."""
        value = f" {self.takes}" if self.takes.isupper() else " …" if self.takes else ""
        text = self.name if self.is_argument else f"{self.name}{value}"
        return text if self.is_required else f"[{text}]"


class Manual(Struct, frozen=True, kw_only=True):
    """All that is told of a command."""

    name: str
    summary: str
    more: str
    """Further paragraphs; empty where there are none."""
    options: tuple[Option, ...]
    ends: dict[int, str]
    """The exit codes that are its own, and when."""
    examples: tuple[str, ...]
    beside_a_service: str

    @property
    def usage(self) -> str:
        """How it is typed."""
        return " ".join(["ecolyo-worker", self.name, *(item.usage for item in self.options)])

    @property
    def is_irreversible(self) -> bool:
        """Whether it may do what cannot be undone, and so wants `--yes`."""
        return any(item.name == "--yes" for item in self.options)


def manuals(app: App) -> Iterator[Manual]:
    """Give what is to be told of every command, those of groups too, in the order of the help."""
    for name, command in _commands(app):
        function = command.default_command
        assert function is not None
        found = parse(function.__doc__ or "", DocstringStyle.NUMPYDOC)
        yield Manual(
            name=name,
            summary=_joined(found.short_description),
            more="\n\n".join(map(_joined, (found.long_description or "").split("\n\n"))),
            options=tuple(_options(command.assemble_argument_collection(parse_docstring=True))),
            ends=_ends(function),
            examples=_examples(function),
            beside_a_service=_BY_ITSELF.get(name, _ASKS),
        )


def options_of_every_command(app: App) -> tuple[Option, ...]:
    """Give the options that every command takes."""
    return tuple(_options(app.meta.assemble_argument_collection(parse_docstring=True)))


def add_epilogues(app: App) -> None:
    """Let the help of each command end with its exit codes and its examples."""
    for _, command in _commands(app):
        function = command.default_command
        assert function is not None
        ends = [f"Ends with {code}: {when}" for code, when in _ends(function).items()]
        examples = _examples(function)
        told = ["For example:\n\n```\n" + "\n".join(examples) + "\n```"] if examples else []
        command.help_epilogue = "\n\n".join([*ends, *told])


def _commands(app: App, group: str = "") -> Iterator[tuple[str, App]]:
    names = [name for name in app if name not in {*app.help_flags, *app.version_flags}]
    for name in sorted(names, key=lambda name: app[name].sort_key):
        command = app[name]
        if command.default_command is None:
            yield from _commands(command, f"{name} ")
        else:
            yield f"{group}{name}", command


def _options(arguments: ArgumentCollection) -> Iterator[Option]:
    for item in arguments:
        if not item.show:
            continue
        default = item.field_info.default
        has_default = default not in {None, False, item.field_info.empty}
        is_argument = item.index is not None
        name = item.names[0] if not is_argument else item.names[0].lstrip("-").upper()
        yield Option(
            name=name,
            takes=item.parameter.metavar or _kind(item.get_choices(), item.hint),
            purpose=_joined(item.parameter.help),
            default=str(default) if has_default else "",
            is_required=item.required,
            is_argument=is_argument,
        )


def _kind(choices: tuple[str, ...] | None, hint: Any) -> str:  # noqa: ANN401  a type
    if choices:
        return ", ".join(choices)
    kinds = [words for kind, words in _KINDS.items() if kind in getattr(hint, "__args__", (hint,))]
    return kinds[0] if kinds else "text"


def _ends(function: Callable[..., Any]) -> dict[int, str]:
    found = parse(function.__doc__ or "", DocstringStyle.NUMPYDOC)
    return {int(item.type_name or 0): _joined(item.description) for item in found.many_returns}


def _examples(function: Callable[..., Any]) -> tuple[str, ...]:
    found = parse(function.__doc__ or "", DocstringStyle.NUMPYDOC)
    return tuple(line for item in found.examples for line in (item.description or "").splitlines())


def _joined(text: str | None) -> str:
    """Give a paragraph as one line."""
    return " ".join((text or "").split())
