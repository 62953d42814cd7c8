"""Build a bank of instances: their embeddings and the classes around them.

Shapes: n instances of an image, H W its original size, D embedding
dimensions, E dimensions of the baseline feature, C classes (including
background if the network has it).
"""
from pathlib import Path
from typing import List, NamedTuple, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier, get_rank, get_world_size, is_main_process
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmpixsort.det.heads.embedding_trunk import resize_maps
from mmpixsort.datasets.panoptic_maps import INSTANCE_OFFSET
from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_positive)
from mmpixsort.functional.instances.context import context_histograms
from mmpixsort.functional.instances.id_masks import (boxes_of_ids,
                                                     masks_of_ids, paint_masks)
from mmpixsort.functional.segments.prototypes import segment_sums
from mmpixsort.layers import tap
from mmpixsort.retrieval.images import (annotated_images, image_name,
                                        source_hash)
from mmpixsort.retrieval.instances import (InstanceRows, StoredInstances,
                                           join_instances, write_instances)
from mmpixsort.retrieval.parts import (open_folder, part_path, part_ranges,
                                       remove_folder)
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.files import only_builder
from mmpixsort.utils.hashing import weights_fingerprint
from mmpixsort.utils.progress import progress
from mmpixsort.utils.table_file import load_tensors, save_tensors

from .bank import file_hash
from .loading import load_detector

FEATURES = ('logits', 'classifier')
MASKS_AT_ONCE = 32  # number of instances whose contexts are counted at once
# prefixes of entries of the state dict that do not influence embeddings
PASSING = ('head.bank.', 'head.clock.')


class InstanceRules(NamedTuple):
    """Rules by which instances become rows of a bank.

    Attributes:
        annotated: Whether masks and the classes around them come from the
            annotation; otherwise both are predicted.
        min_area: Smallest area in pixels of the original image; smaller
            instances are left out.
        rho: Radius of the ring around an instance, divided by the square
            root of its area.
        feature: Baseline feature that is stored beside the embedding:
            'logits', the output of the semantic branch, or 'classifier', the
            input of the last convolution of this branch.
    """

    annotated: bool = True
    min_area: int = 64
    rho: float = 1.
    feature: str = 'logits'

    def check(self) -> 'InstanceRules':
        """Return the rules, or raise ValueError for a value out of range."""
        check_count('min_area', self.min_area)
        check_positive('rho', self.rho)
        check_choice('feature', self.feature, FEATURES)
        return self


class ImageInstances(NamedTuple):
    """The instances of an image.

    Attributes:
        ids: Instance id (H, W) of each pixel, int64 in [1, n]; a smaller
            number means no instance.
        classes: Class (n,) of each instance, int64.
        semantic: Class (H, W) of each pixel, int64; a number outside [0, C)
            means no class.
    """

    ids: Tensor
    classes: Tensor
    semantic: Tensor


def detector_fingerprint(model: nn.Module) -> str:
    """Return a hash of all weights that the rows of a bank depend on."""
    return weights_fingerprint(
        (item for item in model.state_dict().items()
         if not item[0].startswith(PASSING)), model.data_preprocessor)


def build_instance_bank(cfg: Union[str, Path, Config],
                        checkpoint: Union[str, Path],
                        out: Union[str, Path],
                        *,
                        split: str = 'train',
                        annotated: bool = True,
                        min_area: int = 64,
                        rho: float = 1.,
                        feature: str = 'logits',
                        restart: bool = False) -> StoredInstances:
    """Embed the instances of images one by one and write them as a bank.

    All processes of a distributed run share the work. Finished parts are kept
    in ``OUT.parts`` until the bank is complete; an interrupted build continues
    from them. The file does not depend on the number of processes.

    `feature` selects the baseline that the embedding is compared with. The
    semantic branch and the embedding branch share a trunk, which learns from
    the losses of both. Only the last convolution of the semantic branch,
    which computes 'logits', learns from cross-entropy alone. Its input,
    'classifier', has more dimensions, but depends on the metric loss too. For
    a fair baseline, train a network without the metric loss, build another
    bank with it, and compare both with
    :func:`mmpixsort.apis.context_report.report_context`.

    Args:
        cfg: Config, or its path.
        checkpoint: Path of the weights.
        out: Path of the bank, in the safetensors format.
        split: 'train', 'val' or 'test'.
        annotated: Whether instances come from the annotation; see
            :class:`InstanceRules` for this argument and the next three.
        min_area: Smallest area in pixels, 1 or more.
        rho: Relative radius of the ring, above 0.
        feature: Baseline feature, 'logits' or 'classifier'.
        restart: Whether to discard the parts of an interrupted build.

    Returns:
        The bank; every process returns it.

    Raises:
        ValueError: If the model, checkpoint and data do not fit together.
        ImportError: If safetensors is not installed.
    """
    rules = InstanceRules(annotated, min_area, float(rho), feature).check()
    cfg = cfg if isinstance(cfg, Config) else read_config(cfg)
    model = load_detector(cfg, checkpoint)
    dataset = annotated_images(cfg, split=split)
    out = Path(out)
    meta = dict(
        classes=context_classes(model, dataset.metainfo['classes']),
        images=[image_name(dataset, i) for i in range(len(dataset))],
        rules=rules._asdict(),
        split=split,
        fingerprint=detector_fingerprint(model),
        checkpoint=file_hash(checkpoint),
        embed_dims=model.head.conv_embed.out_channels)
    folder = out.with_name(out.name + '.parts')
    with only_builder(out, is_main_process()):
        if is_main_process():
            if restart:
                remove_folder(folder)
            open_folder(folder, dict(
                meta, source=source_hash(cfg, split)))
        barrier()
        _describe_parts(model, dataset, rules, folder)
        barrier()
        stored = StoredInstances(
            join_instances([
                InstanceRows(**load_tensors(
                    part_path(folder, part), InstanceRows._fields)[0])
                for part in part_ranges(len(dataset))
            ]), meta)
        barrier()
        if is_main_process():
            write_instances(stored, out)
            remove_folder(folder)
        return stored


def _describe_parts(model: nn.Module, dataset, rules: InstanceRules,
                    folder: Path) -> None:
    """Write the missing parts of the bank; each process writes its share."""
    own = part_ranges(len(dataset))[get_rank()::get_world_size()]
    with progress(sum(map(len, own)), 'embedding') as advance:
        for part in own:
            if not part_path(folder, part).exists():
                rows = join_instances([
                    describe_image(model, dataset[i], rules, i)[0]
                    for i in part
                ])
                save_tensors(part_path(folder, part), rows._asdict())
            advance(len(part))


def context_classes(model: nn.Module, classes: Tuple[str, ...]) -> List[str]:
    """Return the names of the C classes that surround instances.

    Raises:
        ValueError: If the classes of the data differ from the network's.
    """
    names, count = list(classes), _classifier(model.head).out_channels
    if count == len(names) + 1:
        names.append('background')
    if count != len(names):
        raise ValueError(f'the data set must have the {count} classes of '
                         f'the network, got {len(names)}: {names}')
    return names


@torch.no_grad()
def describe_image(model: nn.Module,
                   data: dict,
                   rules: InstanceRules,
                   image_id: int = -1) -> Tuple[InstanceRows, Tensor]:
    """Compute the rows of a bank for the instances of an image.

    Args:
        model: Detector that :func:`load_detector` returned.
        data: Item of a data set with the test pipeline.
        rules: Rules by which instances become rows.
        image_id: Index of the image, which is stored in the rows.

    Returns:
        The rows, and a map (H, W) of instance ids, which are the `numbers` of
        the rows; both on the CPU.
    """
    batch = model.data_preprocessor(pseudo_collate([data]), False)
    sample, = batch['data_samples']
    num_classes = _classifier(model.head).out_channels
    if rules.annotated:
        scene = annotated_scene(sample, num_classes)
    else:
        sample, = model.predict(batch['inputs'], batch['data_samples'])
        scene = predicted_scene(sample, num_classes)
    device = batch['inputs'].device
    scene = ImageInstances(*(part.to(device).long() for part in scene))
    embeddings, baseline = _original_maps(
        model.head, model.extract_feat(batch['inputs']), sample.metainfo,
        rules.feature)
    rows = _describe(scene, embeddings, baseline, rules, num_classes,
                     unit=model.head.unit_embeddings)
    image_ids = torch.full_like(rows.classes, image_id)
    rows = rows._replace(image_ids=image_ids)
    return InstanceRows(*(part.cpu() for part in rows)), scene.ids.cpu()


def _describe(scene: ImageInstances, embeddings: Tensor, baseline: Tensor,
              rules: InstanceRules, num_classes: int, *,
              unit: bool) -> InstanceRows:
    """Average maps (D, H, W) and (E, H, W) over each instance to rows."""
    count, owners = len(scene.classes), scene.ids.flatten() - 1
    areas = owners[owners >= 0].bincount(minlength=count)
    kept = (areas >= rules.min_area).nonzero().flatten()
    boxes = boxes_of_ids(scene.ids.clamp(min=0), count)[kept]
    sums, plain = (segment_sums(maps.flatten(1).T, owners, count)[kept]
                   for maps in (embeddings, baseline))
    means = normalize(sums, dim=1) if unit else sums / areas[kept, None]
    return InstanceRows(
        means, normalize(plain, dim=1), scene.classes[kept], kept, kept + 1,
        boxes.long(), areas[kept],
        torch.cat([
            context_histograms(
                masks_of_ids(scene.ids, numbers), scene.semantic,
                num_classes, rules.rho)
            for numbers in (kept + 1).split(MASKS_AT_ONCE)]))


def annotated_scene(sample, num_classes: int) -> ImageInstances:
    """Return the annotated instances of an image.

    Raises:
        ValueError: If the annotation is missing or of another size.
    """
    if 'gt_instance_map' not in sample:
        raise ValueError(
            '`annotated` instances need `gt_instance_map` in the data '
            'samples: add mmpixsort.PaintInstanceMap and '
            'mmpixsort.PackInstanceInputs to the test pipeline, or use '
            'annotated=False')
    ids = sample.gt_instance_map.data[0].long()
    size = tuple(sample.ori_shape[:2])
    if tuple(ids.shape) != size:
        raise ValueError(
            f'`gt_instance_map` must have the size {size} of the image, got '
            f'{tuple(ids.shape)}; load annotations after Resize in the test '
            'pipeline')
    classes = sample.gt_instances.labels
    if 'gt_sem_seg' in sample:
        return ImageInstances(ids, classes, sample.gt_sem_seg.sem_seg[0])
    return ImageInstances(ids, classes, _painted(ids, classes, num_classes))


def predicted_scene(sample, num_classes: int) -> ImageInstances:
    """Return the predicted instances of an image."""
    found = sample.pred_instances
    # the first mask, which has the best score, is on top where masks overlap
    ids = paint_masks(found.masks)
    if 'pred_panoptic_seg' in sample:
        semantic = sample.pred_panoptic_seg.sem_seg[0] % INSTANCE_OFFSET
        return ImageInstances(ids, found.labels, semantic)
    return ImageInstances(
        ids, found.labels, _painted(ids, found.labels, num_classes))


def _painted(ids: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Return the class (H, W) of each pixel from its instance.

    Id 0 gets the last class, which is the background, and a negative id -1.
    """
    background = classes.new_full((1, ), num_classes - 1)
    semantic = torch.cat([background, classes])[ids.clamp(min=0)]
    return semantic.masked_fill(ids < 0, -1)


def _classifier(head: nn.Module) -> nn.Module:
    return head.conv_seg if head.decoder is None else head.decoder.conv_seg


def _original_maps(head: nn.Module, levels: List[Tensor], meta: dict,
                   feature: str) -> Tuple[Tensor, Tensor]:
    """Return the embedding (D, H, W) and baseline (E, H, W) of an image.

    Both are resized to the original size of the image.
    """
    with tap(_classifier(head)) as calls:
        logits, embeddings = head(levels)
    baseline = logits if feature == 'logits' else calls[-1][0]
    unit = head.unit_embeddings
    embeddings = normalize(embeddings, dim=1) if unit else embeddings
    embeddings, baseline = (
        _original_size(maps, meta) for maps in (embeddings, baseline))
    return normalize(embeddings, dim=0) if unit else embeddings, baseline


def _original_size(maps: Tensor, meta: dict) -> Tensor:
    """Remove the padding of maps (1, D, h, w) and resize them."""
    height, width = meta['img_shape'][:2]
    whole = resize_maps(maps.float(), meta['batch_input_shape'])
    return resize_maps(
        whole[..., :height, :width], meta['ori_shape'][:2])[0]
