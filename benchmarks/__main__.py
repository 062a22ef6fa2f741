"""``python -m benchmarks [NAME] [--json FILE] [--quick]``.

A benchmark is a module of this package with ``def run(quick: bool) -> Report``; the first line of its docstring
says what it measures. One with ``def arguments(parser: ArgumentParser) -> None`` has options of its own, and its
``run`` gets the parsed ``Namespace`` as well. Only the one that is asked for is imported.
"""

import argparse
import ast
import inspect
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.report import Report

_FOLDER = Path(__file__).parent


def main(arguments: Sequence[str] | None = None, folder: Path = _FOLDER) -> int:
    """List the benchmarks or run one; return the exit code."""
    known = discover(folder)
    # First the name alone, because it says which other options there are.
    name = _parser(known, add_help=False).parse_known_args(arguments)[0].name
    parser = _parser(known)
    benchmark = None if name is None else import_module(f"{folder.name}.{name}")
    has_arguments = hasattr(benchmark, "arguments")
    if benchmark is not None and has_arguments:
        benchmark.arguments(parser)
    options = parser.parse_args(arguments)
    if benchmark is None:
        width = max(map(len, known), default=0)
        for name, line in known.items():
            print(f"{name:<{width}}  {line}")
        return 0
    report = benchmark.run(options.quick, options) if has_arguments else benchmark.run(options.quick)
    if not isinstance(report, Report):
        raise TypeError(f"benchmarks/{name}.py: run() returns a Report, not {type(report).__name__}")
    print(report.to_text())
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(report.to_json(), "utf-8")
        print(f"written to {options.json}", file=sys.stderr)
    return 0


def discover(folder: Path) -> dict[str, str]:
    """Return name → first line of the docstring of each module that defines ``run``, without importing any."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if "run" in names and not file.stem.startswith("_"):
            found[file.stem] = inspect.cleandoc(ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def _parser(known: dict[str, str], *, add_help: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measurements of Project W.", add_help=add_help
    )
    parser.add_argument(
        "name", nargs="?", choices=list(known), metavar="NAME", help=f"one of {', '.join(known)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    parser.add_argument("--quick", action="store_true", help="take under a minute, with rougher figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
