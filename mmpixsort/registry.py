"""Registries of mmpixsort, children of the root registries of mmengine.

They let configs of any host use ``type='mmpixsort.X'``. On the first use of
the prefix, mmengine imports this module and then all `LOCATIONS`. As an import
error in one of these would break every build, `seg` and `det` are listed only
if their host is installed. Without mmengine, decorated classes are not
registered and remain usable as plain classes.
"""
from .compat import found, require

LOCATIONS = [
    f'mmpixsort.{room}'
    for room in ('losses', 'banks', 'samplers', 'layers', 'text', 'hooks',
                 'metrics', 'visualization', 'datasets')
]
if found('mmseg'):
    LOCATIONS.append('mmpixsort.seg')
if found('mmdet'):
    LOCATIONS.append('mmpixsort.det')


class PlainRegistry:
    """Replacement of a registry if mmengine is not installed."""

    def register_module(self):
        """Return a decorator that returns the class unchanged."""
        return lambda cls: cls

    def build(self, cfg: dict):
        """Raise ImportError, as building from configs needs mmengine."""
        require('mmengine')


def _child(name: str):
    if not found('mmengine'):
        return PlainRegistry()
    from mmengine import registry
    return registry.Registry(
        name, parent=getattr(registry, f'{name.upper()}S'),
        scope='mmpixsort', locations=LOCATIONS)


MODELS = _child('model')
HOOKS = _child('hook')
METRICS = _child('metric')
DATASETS = _child('dataset')
TRANSFORMS = _child('transform')
DATA_SAMPLERS = _child('data_sampler')
VISUALIZERS = _child('visualizer')
