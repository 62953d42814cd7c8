"""Read the numbers of a plan from the metric heads of a config."""
from typing import Dict, Iterator, List, Union

from mmpixsort.compat import require

HEADS = {'PixelContrastHead': 'pixel-contrast', 'SegSortHead': 'segsort'}


def plans_of_config(path: str, **given: Union[int, str]) -> List[Dict]:
    """Return the options of every metric head of a config.

    Heads are built without data, so that defaults are those of the code.

    Args:
        path: Path of a config, or ``package::folder/name.py``.
        given: Options of the command, which replace those of the config.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If it has no head that can be planned.
        ImportError: If the host is not installed.
    """
    require('mmseg')
    import torch
    from mmengine.registry import init_default_scope

    import mmpixsort.seg  # noqa: F401  registers the heads
    from mmpixsort.registry import MODELS
    from mmpixsort.utils.configs import read_config
    cfg = read_config(path)
    init_default_scope('mmseg')
    found = list(_heads(cfg.get('model', {})))
    if not found:
        raise ValueError(
            f'`config` must have a head of type {" or ".join(HEADS)}, got '
            f'{path!r}, which has none; give the numbers in its place, as '
            'in --classes 19 --capacity 5000 --dims 256')
    images = cfg.get('train_dataloader', {}).get('batch_size', 1)
    images = given.get('images', images)
    plans = []
    for head in found:
        with torch.device('meta'):
            built = MODELS.build(head)
        read = _contrast if HEADS[_kind(head)] == 'pixel-contrast' else (
            _sorting)
        plans.append({**read(built, images), 'images': images, **given})
    return plans


def _kind(cfg: dict) -> str:
    return str(cfg.get('type', '')).rpartition('.')[2]


def _heads(cfg: object) -> Iterator[dict]:
    """Yield the configs of metric heads, wherever they lie."""
    if isinstance(cfg, dict):
        if _kind(cfg) in HEADS:
            yield cfg
        else:
            for value in cfg.values():
                yield from _heads(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            yield from _heads(value)


def _contrast(head, images: int) -> Dict:
    """Return the options of pixel contrast."""
    sampler = head.sampler
    options = dict(
        method='pixel-contrast', classes=head.num_classes,
        dims=head.projection.embed_dims, capacity=0,
        bank_pixels=head.keys.num_bank_pixels, gather=head.keys.gather,
        scope=head.keys.scope,
        anchors=min(sampler.max_samples,
                    images * head.num_classes * sampler.max_views))
    if head.bank is not None:
        options.update(
            capacity=head.bank.capacity,
            dtype=str(head.bank.keys.dtype).rpartition('.')[2])
    return options


def _sorting(head, images: int) -> Dict:
    """Return the options of segment sorting."""
    segmenter = head.segmenter
    from mmpixsort.seg.heads.segsort_head import PER_CLUSTER
    options = dict(
        method='segsort', classes=head.num_classes,
        dims=head.projection.embed_dims,
        capacity=0 if head.bank is None else head.bank.capacity,
        segments=segmenter.max_segments or (
            PER_CLUSTER * images * segmenter.num_clusters))
    if head.sampler is not None:
        options['anchors'] = min(
            head.sampler.max_samples,
            images * head.num_classes * head.sampler.max_views)
    return options
