"""Put configs, tools and the model index where `mim` looks for them.

All metadata is in setup.cfg. `mim` and `_base_ = 'mmpixsort::...'` read the
folder `mmpixsort/.mim`: links into this checkout for an editable install (so
that an edited config counts at once), copies in a wheel, or where links
cannot be made.
"""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'demo', 'model-index.yml')


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
        shutil.copytree(
            source, target, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy2(source, target)


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


setup(cmdclass={'build_py': BuildWithMim})
