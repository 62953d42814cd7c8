"""Sphinx extension: a star in a shape such as `(B, *spatial)` is a star.

In reStructuredText a star before a word opens an emphasis.
"""
import re

# A star before a word, unless another one closes the emphasis in the line.
LONE_STAR = re.compile(r'(?<![\w*`\\])\*(?=\w)(?!\w+\*)')


def escape_stars(lines: list) -> list:
    """Return the lines of a docstring with a backslash before lone stars.

    Lines of examples stay as they are.
    """
    return [
        line if line.lstrip().startswith(('>>>', '...')) else
        LONE_STAR.sub(r'\\*', line) for line in lines
    ]


def setup(app) -> dict:
    """Register the extension with Sphinx."""

    def process(app, what, name, obj, options, lines):
        lines[:] = escape_stars(lines)

    # Before napoleon, which reads the argument lines.
    app.connect('autodoc-process-docstring', process, priority=400)
    return dict(parallel_read_safe=True)
