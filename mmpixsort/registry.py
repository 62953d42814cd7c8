"""Child registries of mmpixsort, under the root registries of mmengine.

``type='mmpixsort.X'`` resolves from any host config: mmengine imports this
module when it meets the prefix and then every location below. A location
that needs an absent host would break every build, so `seg` and `det` are
listed only where their host is found.
"""
from importlib.util import find_spec

from mmengine.registry import DATASETS as ENGINE_DATASETS
from mmengine.registry import HOOKS as ENGINE_HOOKS
from mmengine.registry import METRICS as ENGINE_METRICS
from mmengine.registry import MODELS as ENGINE_MODELS
from mmengine.registry import TRANSFORMS as ENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as ENGINE_VISUALIZERS
from mmengine.registry import Registry

LOCATIONS = [
    f'mmpixsort.{room}'
    for room in ('losses', 'banks', 'samplers', 'layers', 'hooks', 'metrics',
                 'visualization', 'datasets')
]
if find_spec('mmseg') is not None:
    LOCATIONS.append('mmpixsort.seg')
if find_spec('mmdet') is not None:
    LOCATIONS.append('mmpixsort.det')


def _child(name: str, parent: Registry) -> Registry:
    return Registry(
        name, parent=parent, scope='mmpixsort', locations=LOCATIONS)


MODELS = _child('model', ENGINE_MODELS)
HOOKS = _child('hook', ENGINE_HOOKS)
METRICS = _child('metric', ENGINE_METRICS)
DATASETS = _child('dataset', ENGINE_DATASETS)
TRANSFORMS = _child('transform', ENGINE_TRANSFORMS)
VISUALIZERS = _child('visualizer', ENGINE_VISUALIZERS)
