"""A tiny model of text grouping, and batches for it."""
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmpixsort.registry import MODELS

NOUNS = ['disk', 'square', 'ring']


def config(*, head=dict(), test_cfg=dict(mode='whole'), **backbone) -> dict:
    """Return the config of a segmentor of the three nouns."""
    return ConfigDict(
        type='mmpixsort.TextGroupSegmentor',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[127.5] * 3, std=[64.] * 3,
            size_divisor=1, seg_pad_val=255,
            test_cfg=dict(size_divisor=1)),
        backbone=dict(
            type='mmpixsort.TinyDual', vocabulary=NOUNS + ['cat', 'dog'],
            embed_dims=8, width=8, **backbone),
        decode_head=dict(dict(
            type='mmpixsort.TextGroupHead',
            grouper=dict(
                type='mmpixsort.RegionGrouper', grid=3, num_iters=2,
                feature=dict(type='mmpixsort.ColorFeature', stride=2)),
            bank=dict(type='mmpixsort.TextBank', classes=NOUNS),
            background='cosine', threshold=.1), **head),
        test_cfg=test_cfg)


def build(**options):
    """Return the model with seed 0, in evaluation mode."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    return MODELS.build(config(**options)).eval()


def images(*sizes, seed=0) -> list:
    """Return images (3, H, W) of smooth colours, float in [0, 255]."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for size in sizes:
        coarse = torch.rand(1, 3, 4, 4, generator=generator) * 255
        found.append(torch.nn.functional.interpolate(
            coarse, size, mode='bicubic').clamp(0, 255)[0])
    return found


def sample(image, caption='', nouns=(), **fields) -> SegDataSample:
    """Return the data sample of an image."""
    size = tuple(image.shape[1:])
    found = SegDataSample(metainfo=dict(
        img_shape=size, ori_shape=size, caption=caption, nouns=list(nouns)))
    found.set_data(fields)
    return found


def batch(model, pictures, samples=None, training=False) -> tuple:
    """Return inputs and data samples as the model gets them."""
    samples = samples or [sample(picture) for picture in pictures]
    data = model.data_preprocessor(
        dict(inputs=list(pictures), data_samples=samples), training)
    return data['inputs'], data['data_samples']


def captioned(model, texts=('a disk and a ring', 'a square', 'a ring')):
    """Return a training batch with a caption for every image."""
    pictures = images(*[(16, 16)] * len(texts))
    samples = [
        sample(picture, text, [n for n in NOUNS if n in text],
               gt_sem_seg=PixelData(data=torch.zeros(1, 16, 16).long()))
        for picture, text in zip(pictures, texts)]
    return batch(model, pictures, samples, training=True)
