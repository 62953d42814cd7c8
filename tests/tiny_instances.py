"""A small instance segmentor, and batches of images with blobs."""
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from mmpixsort.registry import MODELS


def config(head=(), **changes):
    """Config of a small detector."""
    return {**dict(
        type='mmpixsort.EmbeddingInstanceSegmentor',
        data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=8),
        backbone=dict(
            type='ResNet', depth=18, base_channels=8, num_stages=2,
            strides=(1, 2), dilations=(1, 1), out_indices=(0, 1),
            norm_cfg=dict(type='BN')),
        head=dict(
            dict(type='mmpixsort.InstanceEmbeddingHead', in_channels=24,
                 in_index=[0, 1], num_classes=2, embed_dims=4,
                 clusters=dict(
                     type='mmpixsort.MeanShiftBackend', min_pixels=4)),
            **merged(head, trunk=dict(channels=8)))), **changes}


def merged(head, **parts):
    """Return changes of a head, with the parts that they do not give."""
    head = dict(head or {})
    return {**head, **{
        name: dict(part, **head.get(name, {}))
        for name, part in parts.items()}}


def panoptic(head=(), **changes):
    """Config of a small panoptic detector: two classes of things, of stuff.
    """
    return config(**{**dict(type='mmpixsort.PanopticSegSort', head=None),
                     **changes}) | dict(head=dict(
                         dict(type='mmpixsort.PanopticSegSortHead',
                              in_channels=24, in_index=[0, 1], num_things=2,
                              num_stuff=2, embed_dims=8),
                         **merged(head, trunk=dict(channels=8), cut=dict(
                             cell_area=4., test_cell_area=4., num_iters=3,
                             max_segments=64))))


def panoptic_discriminative(**head):
    """Config of the panoptic detector with the discriminative loss."""
    return config(type='mmpixsort.PanopticSegSort') | dict(head=dict(
        dict(type='mmpixsort.PanopticDiscriminativeHead', in_channels=24,
             in_index=[0, 1], num_things=2, num_stuff=2, embed_dims=4,
             clusters=dict(
                 type='mmpixsort.MeanShiftBackend', min_pixels=2)),
        **merged(head, trunk=dict(channels=8))))


def with_stuff(samples):
    """Add semantic maps: things by their labels, stuff 2 left, 3 right."""
    for sample in samples:
        ids = sample.gt_instance_map.data[0].long()
        semantic = torch.full_like(ids, 2)
        semantic[:, ids.shape[1] // 2:] = 3
        table = torch.cat([torch.tensor([0]), sample.gt_instances.labels])
        semantic = torch.where(ids > 0, table[ids.clamp(min=0)], semantic)
        semantic[ids < 0] = 255
        sample.gt_sem_seg = PixelData(sem_seg=semantic[None])
    return samples


def build(*args, **kwargs):
    """Build a detector with weights from a seed, under the scope of mmdet."""
    return build_config(config(*args, **kwargs))


def build_config(cfg):
    """Build what a config says."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def item(size=(32, 32), seed=0, blobs=3):
    """An image of bright squares, which are instances of two classes."""
    g = np.random.default_rng(seed)
    ids = np.zeros(size, np.int32)
    labels = []
    for _ in range(blobs):
        y, x = (int(g.integers(0, side - 8)) for side in size)
        if (ids[y:y + 8, x:x + 8] == 0).all():
            labels.append(int(g.integers(2)))
            ids[y:y + 8, x:x + 8] = len(labels)
    ids[0] = -1
    table = np.array([0, *(90 + 100 * np.array(labels, int))])
    shade = table[ids.clip(0)] + 12 * ids
    image = torch.from_numpy(shade).float().expand(3, -1, -1)
    sample = DetDataSample(
        gt_instance_map=PixelData(data=torch.from_numpy(ids)[None]),
        gt_instances=InstanceData(labels=torch.tensor(labels).long()))
    sample.set_metainfo(dict(
        img_shape=size, ori_shape=size, img_id=seed, scale_factor=(1., 1.)))
    return image, sample


def batch(*sizes, training=True, model=None):
    """Inputs and samples of images, through the preprocessor of a model."""
    items = [item(size, seed) for seed, size in enumerate(sizes)]
    data = dict(inputs=[image for image, _ in items],
                data_samples=[sample for _, sample in items])
    data = model.data_preprocessor(data, training)
    return data['inputs'], data['data_samples']
