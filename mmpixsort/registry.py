"""Child registries of mmpixsort, under the root registries of mmengine.

``type='mmpixsort.X'`` resolves from any host config: mmengine imports this
module when it meets the prefix and then every location below. A location
that needs an absent host would break every build, so `seg` and `det` are
listed only where their host is found. With torch alone there are no configs,
and what is registered stays a plain class.
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
    """Stands for a registry of mmengine where there is none."""

    def register_module(self):
        """Return a decorator that leaves a class as it is."""
        return lambda cls: cls

    def build(self, cfg: dict):
        """Raise ImportError: configs are built by mmengine."""
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
VISUALIZERS = _child('visualizer')
