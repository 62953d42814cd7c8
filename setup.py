"""Put configs, tools and the model index where `mim` looks for them.

All metadata is in setup.cfg. `mim` and `_base_ = 'mmpixsort::...'` read the
folder `mmpixsort/.mim`: links into this checkout for an editable install (so
that an edited config counts at once), copies in a wheel, or where links
cannot be made. A wheel has the logs of the model zoo, but no weights: if
`MMPIXSORT_ZOO` is a URL during the build, the metafiles in `.mim` name the
weights there, for `mim download` and `tools/download.py`.

If `MMPIXSORT_URL` is the address of the repository during the build, the
metadata contain the links of the project, and the description, which an index
shows without the checkout, has absolute addresses of pages and pictures.
"""
import os
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'demo', 'model_zoo', 'model-index.yml')
LEFT_OUT = shutil.ignore_patterns('__pycache__', '*.pth', '*.npz')
ZOO = os.environ.get('MMPIXSORT_ZOO', '')
URL = os.environ.get('MMPIXSORT_URL', '').rstrip('/')


def place(source: Path, target: Path, link: bool) -> None:
    """Link or copy one file or folder, replacing what was there."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    if link:
        try:
            target.symlink_to(
                Path('..', '..', source.name), source.is_dir())
            return
        except OSError:
            pass  # some file systems have no links: copy instead
    if source.is_dir():
        shutil.copytree(source, target, ignore=LEFT_OUT)
    else:
        shutil.copy2(source, target)


def name_weights(folder: Path, url: str) -> None:
    """Write an index and metafiles that name the weights by their URL.

    The links of an editable install lead to the checkout, so these are files
    of their own.
    """
    index = (ROOT / 'model-index.yml').read_text()
    (folder / 'metafiles').mkdir(exist_ok=True)
    for source in re.findall(r'- (configs/\S+)', index):
        target = f'metafiles/{Path(source).parent.name}.yml'
        index = index.replace(source, target)
        (folder / target).write_text(re.sub(
            r'^( *(?:Weights|Bank): )model_zoo/', rf'\g<1>{url.rstrip("/")}/',
            (ROOT / source).read_text(), flags=re.M))
    (folder / 'model-index.yml').unlink()  # it may be a link
    (folder / 'model-index.yml').write_text(index)


def absolute_links(text: str, url: str) -> str:
    """Return Markdown whose links into the repository are absolute."""

    def absolute(match: re.Match) -> str:
        path = match[1]
        kind = 'raw' if path.endswith(('.png', '.svg')) else 'blob'
        return f']({url}/{kind}/main/{path}'

    return re.sub(r'\]\((?![a-z]+:|#)([^)\s]+)', absolute, text)


def address(url: str) -> dict:
    """Return the metadata that depend on the address of the repository."""
    if not url:
        return {}
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    return dict(
        long_description=absolute_links(readme, url),
        url=url,
        project_urls={
            'Documentation': f'{url}/blob/main/docs/index.md',
            'Changelog': f'{url}/blob/main/CHANGELOG.md',
            'Issues': f'{url}/issues',
        })


class BuildWithMim(build_py):
    """Fill `.mim`: editable builds never say `develop` on their argv."""

    def run(self) -> None:
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib)
        folder = base / 'mmpixsort' / '.mim'
        folder.mkdir(parents=True, exist_ok=True)
        for name in SHIPPED:
            if (ROOT / name).exists():
                place(ROOT / name, folder / name, link=self.editable_mode)
        if ZOO.startswith(('http://', 'https://')):
            name_weights(folder, ZOO)


setup(cmdclass={'build_py': BuildWithMim}, **address(URL))
