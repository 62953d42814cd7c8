"""Build a bank of prototypes from a config and a checkpoint."""
import hashlib
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.dist import barrier, get_rank, get_world_size, is_main_process
from torch import nn

from mmpixsort.retrieval import PrototypeBank, write_bank
from mmpixsort.retrieval.build import RowRules, join_rows
from mmpixsort.retrieval.images import (annotated_images, image_name,
                                        source_hash)
from mmpixsort.retrieval.parts import (open_folder, part_path, part_ranges,
                                       read_parts, remove_folder, write_part)
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.files import only_builder
from mmpixsort.utils.progress import progress

from .loading import load_model


def build_bank(cfg: Union[str, Path, Config],
               checkpoint: Union[str, Path],
               out: Union[str, Path],
               *,
               split: str = 'train',
               rules: RowRules = RowRules(),
               dtype: str = 'float16',
               max_images: Optional[int] = None,
               restart: bool = False) -> PrototypeBank:
    """Embed annotated images one by one and write their segments as a bank.

    All processes of a distributed run share the work. Finished parts are kept
    in ``OUT.parts`` until the bank is complete; an interrupted build continues
    from them. The file does not depend on the number of processes.

    Args:
        cfg: Config, or its path.
        checkpoint: Path of the weights.
        out: Path of the bank. The ending .npz selects NumPy's format, any
            other ending safetensors.
        split: 'train', 'val' or 'test'.
        rules: Rules that decide which segments become rows of the bank.
        dtype: Data type of the features, 'float16' or 'float32'.
        max_images: Number of images to use, evenly spaced; None uses all.
        restart: Whether to discard the parts of an interrupted build.

    Returns:
        The bank; every process returns it.

    Raises:
        ValueError: If the model, checkpoint and data do not fit together, or
            another process is building this bank.
    """
    from mmpixsort.seg.segmentors.retrieval_bank import chosen_images, meta_of
    rules = rules.check()
    cfg = cfg if isinstance(cfg, Config) else read_config(cfg)
    out = Path(out)
    model = load_model(cfg, checkpoint)
    dataset = annotated_images(cfg, split=split)
    images = chosen_images(dataset, max_images)
    meta = dict(
        meta_of(model.retrieval, dataset, rules),
        checkpoint=file_hash(checkpoint))
    names = [image_name(dataset, i) for i in images]
    folder = out.with_name(out.name + '.parts')
    with only_builder(out, is_main_process()):
        if is_main_process():
            if restart:
                remove_folder(folder)
            open_folder(folder, dict(
                meta, images=names, source=source_hash(cfg, split)))
        barrier()
        _embed_parts(model, dataset, images, rules, folder)
        barrier()
        bank = join_rows(
            list(read_parts(folder, len(images))), names=names, meta=meta,
            dtype=dtype)
        barrier()
        if is_main_process():
            write_bank(bank, out)
            remove_folder(folder)
        return bank


@torch.no_grad()
def _embed_parts(model: nn.Module, dataset, images: list, rules: RowRules,
                 folder: Path) -> None:
    """Write the missing parts of the bank; each process writes its share."""
    own = part_ranges(len(images))[get_rank()::get_world_size()]
    with progress(sum(map(len, own)), 'embedding') as advance:
        for part in own:
            if not part_path(folder, part).exists():
                write_part(folder, part, [
                    model.retrieval.rows(dataset[images[i]], rules)
                    for i in part
                ])
            advance(len(part))


def file_hash(path: Union[str, Path]) -> str:
    """Return the SHA-256 of a file, or '' for a URL."""
    path = Path(path)
    if not path.is_file():
        return ''
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
