"""The shape of the code: which folder may import which, how long files and functions may be, what must not be imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "varco_vision"
ORDER = [
    "errors", "geometry", "markup", "pictures", "chat", "model", "data", "synth", "train", "infer", "eval", "convert", "bench",
    "serve", "cli",
]  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Second parts of all `varco_vision.X` imports anywhere in a file."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("varco_vision"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("varco_vision.")}
    return found & set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_upwards(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert own in ORDER, f"{own} has no place in the import order"
    wrong = [name for name in imported(ast.parse(path.read_text())) if ORDER.index(name) > ORDER.index(own)]
    assert not wrong, f"{path.name} imports from below: {wrong}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 80, f"{path.name}: {node.name}"


@pytest.mark.parametrize("module", ["geometry", "markup", "pictures"])
def test_languages_do_not_need_torch(module: str) -> None:
    code = f"import sys, varco_vision.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_bare_excepts() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path.name}:{node.lineno}"
