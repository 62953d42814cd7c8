"""Group the pixels of all images of a data set, and write the region ids."""
import json
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import Dataset

from mmpixsort.datasets.group_maps import (group_path, open_group_folder,
                                           settings_hash, write_groups)
from mmpixsort.datasets.map_owners import claim_maps
from mmpixsort.functional.checks import check_choice
from mmpixsort.registry import MODELS
from mmpixsort.retrieval.images import annotated_images
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.files import remove_leftovers
from mmpixsort.utils.hashing import weights_fingerprint
from mmpixsort.utils.progress import progress

SPLITS = ('train', 'val', 'test')
# steps that change the geometry of an image in the same way in every run
IMAGE_STEPS = ('LoadImageFromFile', 'Resize')


class GroupRun(NamedTuple):
    """Result of grouping the images of a split.

    Attributes:
        written: Number of images that were grouped.
        skipped: Number of images whose groups existed already.
        hash: Hash of the settings.
    """

    written: int
    skipped: int
    hash: str


@torch.no_grad()
def precompute_groups(cfg: Union[str, Path, Config],
                      out: Union[str, Path],
                      *,
                      split: str = 'train',
                      key: Optional[str] = None,
                      max_images: Optional[int] = None,
                      device: Optional[str] = None) -> GroupRun:
    """Write the groups of every image of a split as ``OUT/NAME.png``.

    Each image is loaded and resized as in the test pipeline and normalised as
    in the model, without crops and flips. An interrupted run continues. A
    folder that contains groups of other settings, or of other images with
    the same names, is rejected.

    Args:
        cfg: Config, or its path.
        out: Folder to write to.
        split: 'train', 'val' or 'test'.
        key: Place of the grouper in the config, such as
            'model.decode_head.grouper'; None searches for it.
        max_images: Number of images to use, from the start of the data set;
            None uses all.
        device: Name of the device; None uses a GPU if there is one.

    Returns:
        Numbers of images that were grouped and skipped, and the hash.

    Raises:
        ValueError: If the config does not have exactly one grouper, images
            share a name with each other or with images of an earlier run, or
            `out` contains groups of other settings.
    """
    check_choice('split', split, SPLITS)
    cfg = cfg if isinstance(cfg, Config) else read_config(cfg)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    spec = find_grouper(cfg, key)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    grouper = MODELS.build(spec).to(device).eval()
    prepare = _preprocessor(cfg).to(device)
    dataset = annotated_images(cfg, split=split)
    indices = image_indices(dataset)
    steps = image_steps(dataset)
    settings = group_settings(cfg, spec, grouper, steps)
    open_group_folder(out, settings)
    remove_leftovers(out)
    claim_maps(out, {group_path(out, path): path for path in indices})
    pipeline = Compose(steps)
    targets = [(group_path(out, path), index)
               for path, index in indices.items()][:max_images]
    missing = [pair for pair in targets if not pair[0].exists()]
    with progress(len(missing), 'grouping') as advance:
        for target, index in missing:
            image = pipeline(dataset.get_data_info(index))['img']
            inputs = [torch.from_numpy(np.ascontiguousarray(image)).permute(
                2, 0, 1)]
            pixels = prepare(dict(inputs=inputs))['inputs']
            ids = grouper(pixels)[0].cpu().numpy()
            write_groups(target, ids, grouper.num_regions)
            advance()
    return GroupRun(
        len(missing), len(targets) - len(missing), settings_hash(settings))


def find_grouper(cfg: Config, key: Optional[str] = None) -> Dict:
    """Return the config of the grouper.

    Args:
        cfg: Config of a run.
        key: Keys that lead to the grouper, joined by dots. None takes the
            only dict in the config under a key `grouper`.

    Raises:
        ValueError: If there is no such dict, or there are different ones.
    """
    if key is not None:
        found = cfg._cfg_dict
        for part in key.split('.'):
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ValueError(f'`key` must lead to the config of a grouper, '
                             f'got {key!r}, which does not')
        return found
    distinct = []
    for grouper in _groupers(cfg._cfg_dict):
        if grouper not in distinct:
            distinct.append(grouper)
    if len(distinct) != 1:
        raise ValueError(
            'the config must have one `grouper`, in the model or at the top '
            f'level, got {len(distinct)}; give its place as `key`')
    return distinct[0]


def _groupers(node: object) -> Iterator[Dict]:
    """Yield every dict in a config under a key `grouper`."""
    if isinstance(node, dict):
        if isinstance(node.get('grouper'), dict):
            yield node['grouper']
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from _groupers(child)


def image_indices(dataset: Dataset) -> Dict[str, int]:
    """Return a dict from the path of each image to its first index.

    Raises:
        ValueError: If an image has no path, or different images share the
            name that their groups would get.
    """
    indices, owners = {}, {}
    for index in range(len(dataset)):
        path = dataset.get_data_info(index).get('img_path')
        if path is None:
            raise ValueError(
                'images must have an `img_path`, got none in entry '
                f'{index}: groups are stored under the names of image files; '
                'generated images have to be grouped in the model')
        indices.setdefault(path, index)
        name = Path(path).stem
        if owners.setdefault(name, path) != path:
            raise ValueError(
                f'names of images must differ, got {owners[name]!r} and '
                f'{path!r}, which would both write {name}.png')
    return indices


def image_steps(dataset: Dataset) -> List[Callable]:
    """Return the transforms of a pipeline that load and resize an image.

    Raises:
        ValueError: If no transform loads an image.
    """
    while hasattr(dataset, 'datasets') or hasattr(dataset, 'dataset'):
        dataset = (dataset.datasets[0] if hasattr(dataset, 'datasets') else
                   dataset.dataset)
    steps = [
        step for step in dataset.pipeline.transforms
        if type(step).__name__ in IMAGE_STEPS
    ]
    if not any(type(step).__name__ == IMAGE_STEPS[0] for step in steps):
        names = [type(step).__name__ for step in dataset.pipeline.transforms]
        raise ValueError(f'the test pipeline must have {IMAGE_STEPS[0]}, got '
                         f'{", ".join(names) or "no step"}')
    return steps


def group_settings(cfg: Config, spec: Dict, grouper: nn.Module,
                   steps: List[Callable]) -> Dict:
    """Return the settings that the region ids depend on, as JSON types.

    Weights are represented by a hash of their values, not by a path.
    """
    settings = dict(
        grouper=spec,
        num_regions=grouper.num_regions,
        weights=weights_fingerprint(grouper.state_dict().items()),
        steps=[repr(step) for step in steps],
        data_preprocessor=cfg.model['data_preprocessor'])

    def without_path(entries: Dict) -> Dict:
        return {k: v for k, v in entries.items() if k != 'checkpoint'}

    return json.loads(json.dumps(settings), object_hook=without_path)


def _preprocessor(cfg: Config) -> nn.Module:
    """Build the data preprocessor of the model, without padding."""
    spec = (cfg.get('model') or dict()).get('data_preprocessor')
    if spec is None:
        raise ValueError('the config must have `model.data_preprocessor`, '
                         'whose normalisation the grouper expects, got none')
    return MODELS.build(dict(spec, size=None, size_divisor=None,
                             test_cfg=None))
