"""Every option of every tool has a help text."""
import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted([
    *(ROOT / 'tools').rglob('*.py'), *(ROOT / 'demo').glob('*.py'),
    *(ROOT / 'benchmarks').rglob('__main__.py')])


@pytest.mark.parametrize(
    'path', TOOLS, ids=lambda path: str(path.relative_to(ROOT)))
def test_options__have_a_help_text(path):
    silent = [
        ast.unparse(node) for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, 'attr', '') == 'add_argument'
        and 'help' not in {keyword.arg for keyword in node.keywords}]
    assert not silent
