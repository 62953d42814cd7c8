"""Build a bank of instances, each with the classes around it.

Shapes: n instances of an image, H W its original size, D embedding dims, E
dims of the baseline, C classes, which include background where the net has
it.
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
from mmpixsort.det.heads.panoptic_results import INSTANCE_OFFSET
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
MASKS_AT_ONCE = 32  # of an image, whose contexts are counted
# State that no embedding depends on
PASSING = ('head.bank.', 'head.clock.')


class InstanceRules(NamedTuple):
    """Which instances become rows, and how.

    Attributes:
        annotated: Masks and classes around are those of the annotation;
            otherwise both are predicted.
        min_area: Smaller instances are left out, pixels of the image.
        rho: Radius of the ring by the root of the area.
        feature: Baseline, averaged as the embedding is. 'logits': of the
            semantic branch; 'classifier': what enters its last convolution.
    """

    annotated: bool = True
    min_area: int = 64
    rho: float = 1.
    feature: str = 'logits'

    def check(self) -> 'InstanceRules':
        """Return the rules, or raise ValueError on a value out of range."""
        check_count('min_area', self.min_area)
        check_positive('rho', self.rho)
        check_choice('feature', self.feature, FEATURES)
        return self


class ImageInstances(NamedTuple):
    """The instances of an image.

    Attributes:
        ids: (H, W) int64, 1 .. n; below 1: none.
        classes: (n,) int64.
        semantic: (H, W) int64; outside [0, C): void.
    """

    ids: Tensor
    classes: Tensor
    semantic: Tensor


def detector_fingerprint(model: nn.Module) -> str:
    """Return a hash of all of a model that instances depend on."""
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
    """Describe the instances of images one by one and write them as a bank.

    All ranks of a process group share the work; parts lie in ``OUT.parts``
    until the bank is written, and a build that was cut off goes on where it
    was. The file does not depend on the number of processes.

    `feature` is what the embedding is compared with. The trunk of both
    branches learns from both losses, so no feature of the net is of
    cross-entropy alone but the last convolution of the semantic branch:
    'logits' is what it makes of the trunk. 'classifier' is what enters it,
    which has more dims, and which the metric loss has shaped too. A net
    trained without metric loss is the clean comparison: build a bank with
    it as well, see :func:`mmpixsort.apis.context_report.report_context`.

    Args:
        cfg: Path of a config, or the config.
        checkpoint: Path of the weights.
        out: The file, safetensors.
        split: 'train', 'val' or 'test'.
        annotated: See :class:`InstanceRules`, as the next three.
        min_area: 1 or more.
        rho: Above 0.
        feature: 'logits' or 'classifier'.
        restart: Throw away the parts of a build that was cut off.

    Returns:
        The bank, on the main process as on all others.

    Raises:
        ValueError: When model, checkpoint or data do not fit.
        ImportError: When safetensors is missing.
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
    """Write the parts that are missing, every rank its share."""
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
    """Name the C classes around instances.

    Raises:
        ValueError: When the data have other classes than the net.
    """
    names, count = list(classes), _classifier(model.head).out_channels
    if count == len(names) + 1:
        names.append('background')
    if count != len(names):
        raise ValueError(f'the data set must have the {count} classes of '
                         f'the net, got {len(names)}: {names}')
    return names


@torch.no_grad()
def describe_image(model: nn.Module,
                   data: dict,
                   rules: InstanceRules,
                   image_id: int = -1) -> Tuple[InstanceRows, Tensor]:
    """Describe the instances of an image.

    Args:
        model: Detector, as :func:`load_detector` returns it.
        data: Item of a data set with the pipeline of the test.
        rules: Which instances, and how.
        image_id: To be noted.

    Returns:
        Rows, and the map (H, W) of their `numbers`, on the CPU.
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
    """Average maps (D, H, W) and (E, H, W) by instance."""
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
    """Read the annotation of an image.

    Raises:
        ValueError: When it is missing or of another size.
    """
    if 'gt_instance_map' not in sample:
        raise ValueError(
            '`annotated` instances need `gt_instance_map` in the data '
            'samples of the test: put mmpixsort.PaintInstanceMap and '
            'mmpixsort.PackInstanceInputs into its pipeline, or take '
            'annotated=False')
    ids = sample.gt_instance_map.data[0].long()
    size = tuple(sample.ori_shape[:2])
    if tuple(ids.shape) != size:
        raise ValueError(
            f'`gt_instance_map` must have the size {size} of the image, got '
            f'{tuple(ids.shape)}: load annotations after Resize in the '
            'pipeline of the test')
    classes = sample.gt_instances.labels
    if 'gt_sem_seg' in sample:
        return ImageInstances(ids, classes, sample.gt_sem_seg.sem_seg[0])
    return ImageInstances(ids, classes, _painted(ids, classes, num_classes))


def predicted_scene(sample, num_classes: int) -> ImageInstances:
    """Read the prediction for an image."""
    found = sample.pred_instances
    # of masks that overlap the first, which is the surer one, is on top
    ids = paint_masks(found.masks)
    if 'pred_panoptic_seg' in sample:
        semantic = sample.pred_panoptic_seg.sem_seg[0] % INSTANCE_OFFSET
        return ImageInstances(ids, found.labels, semantic)
    return ImageInstances(
        ids, found.labels, _painted(ids, found.labels, num_classes))


def _painted(ids: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Return classes (H, W) of things on background, the last class."""
    background = classes.new_full((1, ), num_classes - 1)
    semantic = torch.cat([background, classes])[ids.clamp(min=0)]
    return semantic.masked_fill(ids < 0, -1)


def _classifier(head: nn.Module) -> nn.Module:
    return head.conv_seg if head.decoder is None else head.decoder.conv_seg


def _original_maps(head: nn.Module, levels: List[Tensor], meta: dict,
                   feature: str) -> Tuple[Tensor, Tensor]:
    """Return embedding (D, H, W) and baseline (E, H, W)."""
    with tap(_classifier(head)) as calls:
        logits, embeddings = head(levels)
    baseline = logits if feature == 'logits' else calls[-1][0]
    unit = head.unit_embeddings
    embeddings = normalize(embeddings, dim=1) if unit else embeddings
    embeddings, baseline = (
        _original_size(maps, meta) for maps in (embeddings, baseline))
    return normalize(embeddings, dim=0) if unit else embeddings, baseline


def _original_size(maps: Tensor, meta: dict) -> Tensor:
    """Cut the padding off maps (1, D, h, w) and resize them."""
    height, width = meta['img_shape'][:2]
    whole = resize_maps(maps.float(), meta['batch_input_shape'])
    return resize_maps(
        whole[..., :height, :width], meta['ori_shape'][:2])[0]
