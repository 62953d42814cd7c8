"""One config of every kind of host in mmseg, made small enough for a test.

`hosts.txt` lists them, since reading all configs of mmseg takes half a
minute; a slow test compares. `python tests/apis/hosts.py` prints the list
anew.
"""
import copy
import warnings
from pathlib import Path
from typing import Dict, List

from mmengine.config import Config

# Reasons why a host cannot train here, whoever attaches
UNTRAINABLE = {
    'san/san-vit-b16_coco-stuff164k-640x640.py':
    'MultimodalEncoderDecoder: needs the weights of CLIP to be built',
    'vpd/vpd_sd_4xb8-25k_nyu-480x480.py':
    'DepthEstimator: estimates depth, has no classes; needs the package ldm'
}
NEEDS_OPS = ('psanet/', )
# Hosts that take one size only; all others take 64 pixels
SIZES = {'beit/': 640, 'mae/': 512, 'mobilenet_v3/': 512}
# Above 5 seconds on one core
SLOW = ('beit/', 'mae/', 'mobilenet_v3/')


def host_names() -> List[str]:
    """Return the listed configs, below the configs of mmseg."""
    return (Path(__file__).parent / 'hosts.txt').read_text().split()


def load_host(name: str) -> Config:
    """Read a config of mmseg as an inheriting config sees it."""
    return Config.fromstring(f"_base_ = 'mmseg::{name}'\n", '.py')


def host_size(name: str) -> int:
    """Return the side of the images to train on."""
    for start, size in SIZES.items():
        if name.startswith(start):
            return size
    return 64


def shrink(cfg: Config) -> Config:
    """Return a config of a shallower model with the same channels."""
    cfg = copy.deepcopy(cfg)
    backbone = cfg.model.backbone
    for part in (backbone, backbone.get('backbone_cfg', {})):
        if part.get('depth') == 101:
            part.depth = 50
    if 'extra' in backbone:
        for stage in backbone.extra.values():
            stage.num_modules = 1
            stage.num_blocks = tuple(1 for _ in stage.num_blocks)
    if backbone.type == 'MixVisionTransformer':
        backbone.num_layers = [1, 1, 1, 1]
    elif isinstance(backbone.get('num_layers'), int):
        _shrink_transformer(backbone)
    if isinstance(backbone.get('depths'), (list, tuple)):
        # the last block of a stage of Twins-SVT differs from the first
        backbone.depths = [min(2, depth) for depth in backbone.depths]
    return cfg


def _shrink_transformer(backbone: dict) -> None:
    """Keep as many layers as are read."""
    indices = backbone.get('out_indices', -1)
    if isinstance(indices, int):
        backbone.num_layers = 1
        backbone.out_indices = 0
    else:
        backbone.num_layers = len(indices)
        backbone.out_indices = list(range(len(indices)))


def table_row(name: str, head: dict) -> str:
    """Return the line of docs/attach.md about a host and its metric head."""
    index, source = head['source'], 'decoder'
    place = 'before the classifier'
    if index != 'decoder':
        source = 'backbone'
        place = (f'level {index}' if isinstance(index, int) else 'levels ' +
                 ', '.join(map(str, index))).replace('level -1', 'last level')
    stem = name.removesuffix('.py')
    return f'| {stem} | {source} | {place} | {head["in_channels"]} |'


def signature(cfg: Config) -> tuple:
    """Return the types of segmentor, backbone and heads."""
    model = cfg.model
    return (model.type, (model.get('backbone') or {}).get('type'),
            _types(model.get('decode_head')),
            _types(model.get('auxiliary_head')))


def _types(heads: object) -> tuple:
    if not heads:
        return ()
    heads = heads if isinstance(heads, (list, tuple)) else [heads]
    return tuple(head['type'] for head in heads)


def find_hosts() -> Dict[tuple, str]:
    """Return the first config, by name, of every signature in mmseg."""
    import mmseg
    folder = Path(mmseg.__file__).parent / '.mim' / 'configs'
    found = {}
    for path in sorted(folder.rglob('*.py')):
        if path.parent.parent != folder or path.parent.name == '_base_':
            continue
        cfg = Config.fromfile(path, import_custom_modules=False)
        # ConvNeXt and PoolFormer are another package's
        if 'model' in cfg and 'mmpretrain' not in str(
                cfg.get('custom_imports')):
            name = path.relative_to(folder).as_posix()
            found.setdefault(signature(cfg), name)
    return found


if __name__ == '__main__':
    warnings.simplefilter('ignore')
    print(*sorted(find_hosts().values()), sep='\n')
