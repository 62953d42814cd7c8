"""Sphinx extension: the directive `model-table METHOD` lists its configs.

The rows are those of `configs/METHOD/metafile.yml`, so that the table on the
site always agrees with what `mim search` and the model zoo show.
"""
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from metafile_rows import metafile, table


class ModelTable(Directive):
    """Insert the table of the method that the argument names."""

    required_arguments = 1

    def run(self) -> list:
        method = self.arguments[0]
        env = self.state.document.settings.env
        env.note_dependency(str(metafile(method)))
        place = nodes.container()
        lines = StringList(table(method).splitlines(), method)
        self.state.nested_parse(lines, self.content_offset, place)
        return place.children


def setup(app) -> dict:
    """Register the directive with Sphinx."""
    app.add_directive('model-table', ModelTable)
    return dict(parallel_read_safe=True)
