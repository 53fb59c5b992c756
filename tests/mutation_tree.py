"""Copy what git tracks for a run of mutmut, with decorated functions as ones that it changes too.

mutmut passes over a decorated function, as each measure is one. So in the files that it mutates the
decorator is written as a call below its function, which means the same.
"""

import ast
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["undecorated"]

_WRITTEN_BELOW = ("measure", "property", "cached_property")


def undecorated(source: str) -> str:
    """Write `@measure(…)`, `@property` and `@cached_property` as calls below their functions."""
    lines = source.split("\n")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda node: node.lineno, reverse=True):
        decorators = [ast.unparse(node) for node in function.decorator_list]
        if len(decorators) != 1 or decorators[0].partition("(")[0] not in _WRITTEN_BELOW:
            continue
        (decorator,) = decorators
        indent = " " * function.col_offset
        lines.insert(
            function.end_lineno or 0, f"{indent}{function.name} = {decorator}({function.name})"
        )
        del lines[function.decorator_list[0].lineno - 1 : function.lineno - 1]
    return "\n".join(lines)


def main(target: Path) -> None:
    """Bring the copy at `target` up to date; what did not change keeps its time and its mutants."""
    mutated = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        source, copy = Path(name), target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            copy.unlink(missing_ok=True)
            copy.symlink_to(source.readlink())
            continue
        content = source.read_bytes()
        if any(fnmatch(name, pattern) for pattern in mutated["only_mutate"]):
            content = undecorated(content.decode()).encode()
        if not copy.exists() or copy.read_bytes() != content:
            copy.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
