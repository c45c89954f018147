"""The limits of the style guide, held over every file of the checkout.

Import direction is held by `lint-imports`; here stand size, shape, names, purity, and that
nothing of the machine it was written on got into the text.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.shared_data import ROOT

PACKAGES = (
    "actors", "bench", "brokers", "cli", "compliance", "domain", "gateway", "ledger", "streaming",
)  # fmt: skip
PURE = ("compliance", "domain", "streaming")

FILE_LINES_MAX = 400
BROKER_FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 50
ARGUMENTS_MAX = 5
NESTING_MAX = 3

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}

IMPURE_CALLS = re.compile(
    r"(time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|sleep)"
    r"|(datetime\.)?(datetime|date)\.(now|utcnow|today)"
    r"|random\.\w+|secrets\.\w+|os\.urandom|(uuid\.)?uuid[14])$"
)
IO_MODULES = {
    "aiohttp", "asyncio", "http", "httpx", "multiprocessing", "requests", "select", "selectors",
    "random", "socket", "sqlite3", "ssl", "subprocess", "threading", "time", "urllib.request",
    "uvloop", "websockets",
}  # fmt: skip

# Written in pieces, so that this file does not break its own rule.
REGISTRY_HOSTS = tuple(
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("debian", "org"),
        ("golang", "org"),
        ("crates", "io"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|opt|home/\w+|Users/\w+)/\w|\bfile://")
TEXT_SUFFIXES = {
    "", ".cfg", ".conf", ".css", ".html", ".in", ".ini", ".json", ".md", ".py", ".service", ".sh",
    ".sql", ".svg", ".toml", ".ts", ".tsx", ".txt", ".yaml", ".yml",
}  # fmt: skip

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar,
    ast.Match,
)  # fmt: skip
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Source(NamedTuple):
    """One Python file: its place in the checkout, its text, its tree."""

    path: Path
    text: str
    tree: ast.Module


@cache
def checkout_files() -> tuple[Path, ...]:
    """Every file git tracks or would track, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {name for name in listing.stdout.split("\0") if name}
    return tuple(sorted(Path(name) for name in names if (ROOT / name).is_file()))


@cache
def sources() -> tuple[Source, ...]:
    """The Python files outside tests/."""
    paths = [path for path in checkout_files() if path.suffix == ".py" and path.parts[0] != "tests"]
    texts = [(path, (ROOT / path).read_text()) for path in paths]
    return tuple(Source(path, text, ast.parse(text)) for path, text in texts)


def functions(source: Source) -> Iterator[Function]:
    """Every function and method of a file."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_the_checkout_has_sources_to_look_at() -> None:
    assert {"domain", "brokers"} <= {source.path.parts[0] for source in sources()}


def test_no_file_is_longer_than_its_limit() -> None:
    too_long = [
        f"{source.path}: {lines} lines, limit {limit}"
        for source in sources()
        if (lines := source.text.count("\n")) > (limit := _file_limit(source.path))
    ]
    assert not too_long, "\n".join(too_long)


def _file_limit(path: Path) -> int:
    is_broker = path.parts[0] == "brokers" and len(path.parts) == 2
    return BROKER_FILE_LINES_MAX if is_broker else FILE_LINES_MAX


def test_no_function_is_longer_than_a_page() -> None:
    too_long = [
        f"{source.path}:{function.lineno} {function.name}: {lines} lines"
        for source in sources()
        for function in functions(source)
        if (lines := _lines_without_docstring(function)) > FUNCTION_LINES_MAX
    ]
    assert not too_long, "\n".join(too_long)


def _lines_without_docstring(function: Function) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def test_no_function_takes_more_arguments_than_a_reader_can_hold() -> None:
    too_many = [
        f"{source.path}:{function.lineno} {function.name}: {count} arguments"
        for source in sources()
        for function in functions(source)
        if not _is_command(function) and (count := _count_arguments(function)) > ARGUMENTS_MAX
    ]
    assert not too_many, "\n".join(too_many)


def _is_command(function: Function) -> bool:
    # A typer command's parameters are the options of its command line, not of a call.
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in {"command", "callback"}
        for decorator in function.decorator_list
    )


def _count_arguments(function: Function) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    count = len(named) + (given.vararg is not None) + (given.kwarg is not None)
    return count - (bool(named) and named[0].arg in {"self", "cls"})


def test_no_block_is_nested_deeper_than_three() -> None:
    too_deep = [
        f"{source.path}:{line}: {depth} deep"
        for source in sources()
        for line, depth in _block_depths(source.tree, 0)
        if depth > NESTING_MAX
    ]
    assert not too_deep, "\n".join(too_deep)


def _block_depths(node: ast.AST, depth: int) -> Iterator[tuple[int, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            yield from _block_depths(child, 0)
        elif isinstance(child, BLOCKS) and not _is_elif(node, child):
            yield child.lineno, depth + 1
            yield from _block_depths(child, depth + 1)
        else:
            yield from _block_depths(child, depth)


def _is_elif(parent: ast.AST, child: ast.AST) -> bool:
    return (
        isinstance(parent, ast.If)
        and isinstance(child, ast.If)
        and parent.orelse == [child]
        and parent.col_offset == child.col_offset
    )


def test_no_file_or_folder_has_a_vague_name() -> None:
    vague = [
        str(path)
        for path in checkout_files()
        if any(VAGUE_NAMES & set(Path(part).stem.split("_")) for part in path.parts)
    ]
    assert not vague, "\n".join(vague)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_of_the_flow_says_what_it_holds(package: str) -> None:
    init = ROOT / package / "__init__.py"
    assert init.is_file(), f"{package}/__init__.py is missing"
    assert ast.get_docstring(ast.parse(init.read_text())), f"{package}/__init__.py says nothing"


def test_the_pure_folders_ask_no_clock_and_roll_no_dice() -> None:
    impure = [
        f"{source.path}:{node.lineno} {name}"
        for source in sources()
        if source.path.parts[0] in PURE
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and IMPURE_CALLS.match(name := ast.unparse(node.func))
    ]
    assert not impure, "\n".join(impure)


def test_a_broker_file_only_translates() -> None:
    impure = [
        f"{source.path} imports {module}"
        for source in sources()
        if _is_broker_translation(source.path)
        for module in sorted(_imported_modules(source.tree))
        if IO_MODULES & {module, module.partition(".")[0]}
    ]
    assert not impure, "\n".join(impure)


def _is_broker_translation(path: Path) -> bool:
    is_broker = path.parts[0] == "brokers" and len(path.parts) == 2
    return is_broker and not path.stem.startswith("transport")


def _imported_modules(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


@pytest.mark.parametrize("folder", ["compliance/rules", "brokers"])
def test_every_rule_and_every_broker_is_in_use(folder: str) -> None:
    used = {
        module
        for source in sources()
        for module in _imported_modules(source.tree)
        if source.path.parts[0] != "bench"
    }
    idle = [
        str(source.path)
        for source in sources()
        if source.path.parent == Path(folder) and source.path.name != "__init__.py"
        if f"{folder.replace('/', '.')}.{source.path.stem}" not in used
    ]
    assert not idle, "\n".join(idle)


def test_no_text_names_a_registry_or_a_path_of_one_machine() -> None:
    named = [
        f"{path}:{number}: {found}"
        for path in checkout_files()
        if path.suffix in TEXT_SUFFIXES and path.name != "LICENSE"
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if (found := _find_machine_word(line)) is not None
    ]
    assert not named, "\n".join(named)


def _find_machine_word(line: str) -> str | None:
    for host in REGISTRY_HOSTS:
        if host in line:
            return host
    match = MACHINE_PATH.search(line)
    return match.group() if match else None


@pytest.mark.parametrize("name", ["run", "dev"])
def test_every_locked_requirement_carries_a_hash(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    pins = [number for number, line in enumerate(lines) if re.match(r"^[a-zA-Z0-9]", line)]
    assert pins
    bare = [lines[number] for number in pins if "--hash=sha256:" not in lines[number + 1]]
    assert not bare, "\n".join(bare)


def test_requirements_say_nothing_about_where_they_come_from() -> None:
    files = sorted((ROOT / "requirements").iterdir())
    sourced = [
        f"{path.name}: {line}"
        for path in files
        for line in path.read_text().splitlines()
        if re.search(r"^(-i|-f|--)|https?://|\s@\s", line.strip())
        and not line.strip().startswith(("--hash=", "#"))
    ]
    assert not sourced, "\n".join(sourced)
