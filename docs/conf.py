"""Settings of the documentation site, which `make docs` builds with Sphinx.

The source folder of Sphinx is the root of the repository. The pages of
`docs`, the READMEs of `configs` and the files that they link to are thus found
under the paths by which they name one another.
"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'docs' / '_ext')]

# Before the hosts, as it stands in for the compiled operators of mmcv.
import mmpixsort  # noqa: E402

project = 'mmpixsort'
author = copyright = 'mmpixsort contributors'
version = release = mmpixsort.__version__

extensions = [
    'myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.mathjax',
    'sphinx.ext.napoleon', 'sphinx.ext.viewcode',
    'docstring_stars', 'model_table', 'named_tuple_fields'
]
root_doc = 'docs/index'
source_suffix = {'.md': 'markdown'}
include_patterns = [
    'docs/*.md', 'docs/api/*.md', 'docs/how_to/*.md', 'configs/*/README.md',
    'CONTRIBUTING.md', 'CHANGELOG.md', 'model_zoo/README.md'
]
# Folders that need not be searched for pages.
exclude_patterns = [
    '.*', 'build', 'data', 'demo_output', 'mmpixsort', 'tests', 'work_dirs'
]

myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 4

autodoc_member_order = 'bysource'
# A link where Python knows the name in single backticks, code otherwise.
default_role = 'py:obj'
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# `name: text` below Returns names a result and not a type.
napoleon_use_rtype = False

html_theme = 'furo'
html_title = f'mmpixsort {version}'
html_show_copyright = False
html_show_sourcelink = False
html_static_path = ['_static']
html_css_files = ['tables.css']
# A page at the root that leads to the first page.
html_extra_path = ['_root']
