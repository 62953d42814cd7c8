"""Check that heads, data sets and pipelines agree on the classes.

Shapes: n instances of an image.
"""
from typing import Dict, Iterator, Sequence, Tuple

from torch import nn
from torch.utils.data import Dataset

from mmpixsort.utils.wrapped import unwrap


def heads_with_classes(model: nn.Module) -> Iterator[Tuple[str, nn.Module]]:
    """Yield names and modules of this package's heads that have classes.

    Args:
        model: The model, bare or wrapped.
    """
    for name, module in unwrap(model).named_modules():
        if hasattr(module, 'loss_module') and hasattr(module, 'num_classes'):
            yield name, module


def stated_counts(head: nn.Module) -> Dict[str, int]:
    """Return the numbers of classes of a head, by their key in metainfo."""
    things = getattr(head, 'num_things', None)
    if things is None:
        return dict(classes=head.num_classes)
    return dict(thing_classes=things, stuff_classes=head.num_classes - things)


def check_classes(model: nn.Module, dataset: Dataset) -> None:
    """Raise ValueError unless heads, data set and pipeline agree.

    Classes that the metainfo does not list are not compared.

    Args:
        model: The model, bare or wrapped.
        dataset: Training set.
    """
    metainfo = getattr(dataset, 'metainfo', None) or {}
    for name, head in heads_with_classes(model):
        for key, count in stated_counts(head).items():
            names = metainfo.get(key)
            if names is not None and len(names) != count:
                argument = dict(
                    classes='num_classes', thing_classes='num_things',
                    stuff_classes='num_stuff')[key]
                raise ValueError(
                    f'`{argument}` of `{name}` must be {len(names)}, the '
                    f'`{key}` of the training set {list(names)}, got '
                    f'{count}; correct the head, or `metainfo` of the data '
                    'set')
    things = metainfo.get('thing_classes')
    for step in _steps(dataset):
        count = getattr(step, 'num_things', None)
        if None not in (things, count) and count != len(things):
            raise ValueError(
                f'`num_things` of {type(step).__name__} must be '
                f'{len(things)}, the `thing_classes` of the training set '
                f'{list(things)}, got {count}')


def _steps(dataset: Dataset) -> Iterator[object]:
    """Yield the transforms of a data set and of the data sets it wraps."""
    pipeline = getattr(dataset, 'pipeline', None)
    yield from getattr(pipeline, 'transforms', ())
    inner = getattr(dataset, 'datasets', None) or [
        getattr(dataset, 'dataset', None)]
    for part in inner:
        if part is not None:
            yield from _steps(part)


def check_instance_labels(data_samples: Sequence, head: nn.Module) -> None:
    """Raise ValueError if the label of an instance is no class of a head.

    Args:
        data_samples: Data samples of mmdet on the CPU. Those whose
            `gt_instances` have no labels (n,) are skipped.
        head: Head with `num_classes`; also with `num_things` if only the
            first classes are things.
    """
    count = getattr(head, 'num_things', head.num_classes)
    for sample in data_samples:
        labels = getattr(getattr(sample, 'gt_instances', None), 'labels', None)
        if labels is None or len(labels) == 0:
            continue
        if labels.min() < 0 or labels.max() >= count:
            raise ValueError(
                f'labels of instances must lie in [0, {count}), the thing '
                f'classes of the head, got {labels.unique().tolist()} in '
                f'{sample.get("img_path")}; map them in the data set or set '
                'the number of classes of the head')
