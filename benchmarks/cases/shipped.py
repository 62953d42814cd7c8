"""What a shipped config says of its loss, and the step that it stands for.

The backbone is left out: its channels and strides only tell how large the
map is that the head gets, for which the host runs once on the meta device.
"""
import copy
import inspect
import json
import math
import warnings
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from benchmarks.environment import ROOT
from benchmarks.inputs import (instance_maps, label_maps, logit_maps,
                               smooth_maps, unit_maps, unit_rows)

from . import hosts
from .steps import fill_bank

FOLDERS = ('pixel_contrast', 'segsort', 'discriminative', 'panoptic_segsort',
           'text_grouping')
MOST_CLASSES = 19  # that a crop shows
INSTANCES = 20  # of an image
WORDS = 512  # dims of the joint space of CLIP ViT-B/16
NOUNS = 2  # of a caption
MODEL_ONLY = ('projection', 'trunk', 'in_channels', 'in_index', 'source',
              'clusters', 'rules', 'warmup_iters')


class Shipped(NamedTuple):
    """The numbers of the loss of a config.

    Attributes:
        names: Configs that share them.
        scope: 'mmseg' or 'mmdet'.
        head: Config of the head.
        batch: Images of a batch on one device.
        crop: H and W of the images.
        grid: H and W of the map that the head gets.
    """

    names: List[str]
    scope: str
    head: dict
    batch: int
    crop: Tuple[int, int]
    grid: Tuple[int, int]

    def text(self) -> str:
        """Return the sizes, for a reader."""
        return (f'B {self.batch}, crop {self.crop[0]} x {self.crop[1]}, map '
                f'{self.grid[0]} x {self.grid[1]}; {_numbers(self.head)}')


def shipped_losses(few: bool = False) -> List[Shipped]:
    """Read all configs; those with the same numbers are one.

    Args:
        few: Whether one config of every folder is enough, of a small host.
    """
    found: Dict[str, Shipped] = {}
    grids: Dict[str, Tuple[int, int]] = {}
    for folder in FOLDERS:
        paths = sorted((ROOT / 'configs' / folder).glob('*.py'))
        if few:
            paths = [path for path in paths if '-mnv2' in path.stem
                     or '_mnv2' in path.stem][:1]
        for path in paths:
            for one in _of_config(path, grids):
                numbers = {key: value for key, value in one.head.items()
                           if key not in MODEL_ONLY}
                key = json.dumps([numbers, one.batch, one.crop, one.grid],
                                 sort_keys=True, default=str)
                if key in found:
                    found[key].names.extend(one.names)
                else:
                    found[key] = one
    return list(found.values())


def _of_config(path: Path, grids: Dict) -> List[Shipped]:
    from mmengine.config import Config
    cfg = Config.fromfile(path)
    scope = cfg.default_scope
    if 'Text' in cfg.model.type:
        heads = [head for head in [cfg.model.decode_head] if any(
            _text_losses(head).values())]
    elif scope == 'mmdet':
        heads = [cfg.model.head]
    else:
        heads = cfg.model.metric_head
        heads = heads if isinstance(heads, list) else [heads]
    if not heads:
        return []
    crop = _padded(cfg, _crop(cfg))
    return [
        Shipped([path.stem], scope, head.to_dict(),
                cfg.train_dataloader.batch_size, crop,
                _grid(cfg, head, crop, grids)) for head in heads]


def _text_losses(head: dict) -> Dict[str, Optional[dict]]:
    """Return the configs of the losses of a head, those of its defaults too.
    """
    from mmpixsort.seg.heads import TextGroupHead
    defaults = inspect.signature(TextGroupHead).parameters
    return {name: head.get(name, defaults[name].default)
            for name in ('noun_loss', 'sentence_loss')}


def _crop(cfg) -> Tuple[int, int]:
    """Return H and W of the training images."""
    if 'Text' in cfg.model.type:
        return 0, 0  # regions come in whatever the size
    data = cfg.train_dataloader.dataset
    data = data.get('datasets', [data])[0]
    sizes = {step.type: step.get('crop_size') or step.get('scale')
             for step in data.get('pipeline', [])}
    if sizes.get('RandomCrop'):
        size = sizes['RandomCrop']
        # of mmdet it is width, height
        return tuple(size[::-1] if cfg.default_scope == 'mmdet' else size)
    if sizes.get('Resize'):
        return tuple(sizes['Resize'][::-1])
    if 'size' in data:  # of generated scenes
        return tuple(data.size)
    raise ValueError(
        f'{Path(cfg.filename).name!r} must crop or resize its images, so '
        'that the size of its maps is known; teach `_crop` another way')


def _padded(cfg, size: Tuple[int, int]) -> Tuple[int, int]:
    """Return a size as the data preprocessor pads it."""
    divisor = cfg.model.data_preprocessor.get('pad_size_divisor', 1)
    return tuple(math.ceil(side / divisor) * divisor for side in size)


def _grid(cfg, head: dict, crop: Tuple[int, int],
          grids: Dict) -> Tuple[int, int]:
    """Return H and W of the map that the head gets."""
    if 'Text' in cfg.model.type:
        return 1, 1
    source = head.get('source', head.get('in_index', -1))
    model = cfg.model
    parts = [model.backbone, model.get('neck'), source, crop]
    if source == 'decoder' or 'decoder' in head.get('trunk', {}):
        parts.append(model.get('decode_head') or head['trunk'])
    key = json.dumps(parts, sort_keys=True, default=str)
    if key not in grids:
        grids[key] = _run_host(cfg, source, crop)
    return grids[key]


@torch.no_grad()
def _run_host(cfg, source, crop: Tuple[int, int]) -> Tuple[int, int]:
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import MODELS, DefaultScope

    from mmpixsort.apis.attach.host_probe import without_weights
    scope = DefaultScope.overwrite_default_scope(cfg.default_scope)
    with scope, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        # not built on the meta device: clusterings try themselves out
        model = MODELS.build(without_weights(cfg.model))
        model = revert_sync_batchnorm(model).eval().to('meta')
        levels = model.extract_feat(torch.empty(2, 3, *crop, device='meta'))
        if hasattr(model, 'head'):
            return tuple(model.head(levels)[1].shape[2:])
        if source != 'decoder':
            index = source if isinstance(source, int) else source[0]
            return tuple(levels[index].shape[2:])
        heads = model.decode_head
        if not isinstance(heads, nn.ModuleList):
            return tuple(heads(levels).shape[2:])
        result = heads[0](levels)
        for later in heads[1:]:
            result = later(levels, result)
        return tuple(result.shape[2:])


def _numbers(head: dict) -> str:
    """Return the numbers of a head, without what is the model's."""
    shown = []
    for key, value in head.items():
        if key in MODEL_ONLY or key in ('type', '_scope_', 'grouper',
                                        'background', 'threshold'):
            continue
        if isinstance(value, dict):
            parts = [f'{k} {v}' for k, v in value.items()
                     if isinstance(v, (int, float, str)) and k != 'type']
            if parts and key != 'bank' or 'capacity' in value:
                shown.append(f'{key}: {", ".join(parts)}')
        elif isinstance(value, (int, float, str)):
            shown.append(f'{key} {value}')
    return '; '.join(shown)


def make_step(shipped: Shipped, device: torch.device) -> Callable:
    """Return the step of the loss on random maps, with its gradient."""
    head = copy.deepcopy(shipped.head)
    if 'TextGroup' in head['type']:
        return _text_step(shipped, device)
    if shipped.scope == 'mmdet':
        return _detection_step(shipped, head, device)
    return _segmentation_step(shipped, head, device)


def _segmentation_step(shipped: Shipped, config: dict,
                       device: torch.device) -> Callable:
    dims, classes = config['embed_dims'], config['num_classes']
    config.update(source=0, in_channels=dims, warmup_iters=0)
    head = hosts.build(config).to(device).train()
    head.projection = nn.Identity()
    if getattr(head, 'bank', None) is not None and hasattr(
            head.bank, 'num_sections'):
        fill_bank(head.bank)
    segsort = 'SegSort' in config['type']
    maps = smooth_maps if segsort else unit_maps
    maps = nn.functional.normalize(
        maps(shipped.batch, dims, shipped.grid), dim=1).to(device)
    maps.requires_grad_()
    shown = min(classes, MOST_CLASSES)
    labels = label_maps(shipped.batch, shown, shipped.crop)
    samples = hosts.segmentation_samples(labels.to(device))
    if config.get('segments') == 'oversegmentation':
        from mmengine.structures import PixelData
        regions = instance_maps(1, shipped.crop, 48)
        for sample in samples:
            sample.gt_overseg = PixelData(data=regions.to(device))
    logits = logit_maps(label_maps(shipped.batch, shown, shipped.grid),
                        classes).to(device)

    def step() -> Tensor:
        maps.grad = None
        losses = head.loss([maps], samples, logits=logits)
        return _descend(losses)

    return step


def _detection_step(shipped: Shipped, config: dict,
                    device: torch.device) -> Callable:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData, PixelData
    head = hosts.build(config, 'mmdet').to(device).train()
    panoptic = hasattr(head, 'num_things')
    things = head.num_things if panoptic else head.num_classes
    outputs = head.num_classes + (not panoptic)
    maps = smooth_maps(shipped.batch, config['embed_dims'], shipped.grid)
    maps = maps.to(device).requires_grad_()
    logits = torch.zeros(shipped.batch, outputs, *shipped.grid,
                         device=device, requires_grad=True)
    # the convolutions of the head are the model's
    head.forward = lambda inputs: (logits, maps)
    ids = instance_maps(1, shipped.crop, 2 * INSTANCES)[0]
    ids = torch.where(ids < INSTANCES, ids + 1, 0).to(device)
    samples = []
    for _ in range(shipped.batch):
        classes = torch.arange(INSTANCES, device=device) % things
        sample = DetDataSample(metainfo=dict(
            img_shape=shipped.crop, ori_shape=shipped.crop,
            batch_input_shape=shipped.crop))
        sample.gt_instances = InstanceData(labels=classes)
        sample.gt_instance_map = PixelData(data=ids[None])
        if panoptic:
            stuff = min(things, head.num_classes - 1)
            table = torch.cat([classes.new_tensor([stuff]), classes])
            sample.gt_sem_seg = PixelData(sem_seg=table[ids][None])
        samples.append(sample)

    def step() -> Tensor:
        maps.grad = logits.grad = None
        return _descend(head.loss([maps], samples))

    return step


def _text_step(shipped: Shipped, device: torch.device) -> Callable:
    head = shipped.head
    count = head.get('num_regions')
    if count is None:
        grid = head['grouper'].get('grid', 4)
        count = grid**2 if isinstance(grid, int) else grid[0] * grid[1]
    batch = shipped.batch
    noun_loss, sentence_loss = (
        hosts.build(config) if config else None
        for config in _text_losses(head).values())
    nouns = unit_rows(NOUNS * batch, WORDS).to(device)
    images = (torch.arange(NOUNS * batch) // NOUNS).to(device)
    regions = unit_rows(batch * count, WORDS, seed=1)
    regions = regions.view(batch, count, WORDS).to(device).requires_grad_()
    valid = torch.ones(batch, count, dtype=torch.bool, device=device)

    def step() -> Tensor:
        regions.grad = None
        losses = {}
        if noun_loss is not None:
            losses.update(noun_loss(nouns, images, regions, valid, scale=20.,
                                    iteration=0))
        if sentence_loss is not None:
            losses['loss_sentence'] = sentence_loss(
                regions.mean(1), nouns[::NOUNS], scale=20.)
        return _descend(losses)

    return step


def _descend(losses: Dict[str, Tensor]) -> Tensor:
    """Run the backward pass of the sum of the losses and return the sum."""
    total = sum(value for key, value in losses.items() if 'loss' in key)
    total.backward()
    return total.detach()
