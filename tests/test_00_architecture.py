"""The house rules, read from the syntax tree: ladder, sizes, names, no cycles, docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "sarknowlip"
RUNG = {
    "core": 0,
    "geo": 1,
    "sar": 2,
    "knowledge": 3,
    "simulate": 3,
    "corpus": 3,
    "annotate": 4,
    "models": 4,
    "losses": 4,
    "data": 5,
    "infer": 6,
    "train": 7,
    "bench": 7,
    "search": 7,
    "pipeline": 8,
    "serve": 8,
    "cli": 9,
}
WITHOUT_TORCH = {"core", "geo", "sar", "knowledge", "simulate", "corpus", "annotate"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 80

MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield all modules a file imports, wherever in the file, as written."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def lazy_targets(path: Path) -> Iterator[str]:
    """Yield modules that "module:attribute" strings point at: lazy imports count as imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            module, colon, attribute = node.value.partition(":")
            if colon and module.startswith("sarknowlip.") and attribute.isidentifier():
                yield module


def package_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "sarknowlip" and len(parts) > 1 else None


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down_the_ladder(path: Path) -> None:
    own = package_of(module_name(path))
    if own is None or own == "__main__":
        return
    assert own in RUNG, f"{own} has no rung"
    for module in [*imports(path), *lazy_targets(path)]:
        other = package_of(module)
        if other is None or other == own:
            continue
        assert RUNG[other] < RUNG[own], f"{module_name(path)} (rung {RUNG[own]}) imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_low_rungs_do_not_import_torch(path: Path) -> None:
    if package_of(module_name(path)) in WITHOUT_TORCH:
        heavy = {name.split(".")[0] for name in imports(path)} & {"torch", "transformers"}
        assert not heavy, f"{module_name(path)} imports {heavy}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_and_function_sizes(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_MODULE_LINES, f"{path} is too long"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_public_things_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree) or not tree.body, f"{path} has no module docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"


def test_no_forbidden_names() -> None:
    everything = [
        *PACKAGE.rglob("*"),
        *(ROOT / "tests").rglob("*"),
        *(ROOT / "benchmarks").glob("*"),
    ]
    bad = [p for p in everything if p.stem.lower() in FORBIDDEN_NAMES]
    assert not bad


def test_no_import_cycles() -> None:
    names = {module_name(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        own = module_name(path)
        graph[own] = {target for target in imports(path) if target in names and target != own}
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != 1, f"cycle: {' → '.join([*trail, name])}"
        if state.get(name) == 2:
            return
        state[name] = 1
        for target in graph[name]:
            visit(target, (*trail, name))
        state[name] = 2

    for name in sorted(graph):
        visit(name, ())


def test_start_up_is_light() -> None:
    """`import sarknowlip` must not pull in torch, GDAL or pandas."""
    import subprocess
    import sys

    code = (
        "import sarknowlip, sys; print(sorted(set(sys.modules) & {'torch', 'rasterio', 'pandas'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
