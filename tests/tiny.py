"""A host small enough to train in a test, and runs of a few iterations."""
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from mmpixsort.utils import cpu_ddp  # noqa: F401  registers the wrapper

CLASSES = 4
SIZE = 32


@DATASETS.register_module(force=True)
class NoisyBlocks(Dataset):
    """Images whose class is their brightness, under noise from numpy."""

    metainfo = dict(classes=[str(c) for c in range(CLASSES)])

    def __init__(self, num_images=12, noise=True):
        self.num_images = num_images
        self.noise = noise

    def __len__(self):
        return self.num_images

    def __getitem__(self, index):
        g = torch.Generator().manual_seed(index)
        grid = torch.randint(0, CLASSES, (4, 4), generator=g)
        labels = grid.repeat_interleave(8, 0).repeat_interleave(8, 1)
        image = labels.expand(3, -1, -1).float()
        if self.noise:
            image = image + 0.3 * torch.from_numpy(
                np.random.rand(3, SIZE, SIZE)).float()
        labels = labels.clone()
        labels[:2] = 255
        return dict(inputs=image, data_samples=sample(labels[None], index))

    def get_data_info(self, index):
        return dict(img_path=f'image_{index}')


@DATASETS.register_module(force=True)
class BlockViews(NoisyBlocks):
    """Each image as it is and mirrored, as TestTimeAug has them."""

    def __getitem__(self, index):
        views = []
        for flip in (False, True):
            view = super().__getitem__(index)
            if flip:
                view['inputs'] = view['inputs'].flip(2)
            view['data_samples'].set_metainfo(dict(
                flip=flip, flip_direction='horizontal' if flip else None))
            views.append(view)
        return {name: [view[name] for view in views] for name in views[0]}


def sample(labels, index=0):
    """A data sample with ground truth (1, H, W)."""
    result = SegDataSample(gt_sem_seg=PixelData(data=labels))
    shape = tuple(labels.shape[-2:])
    result.set_metainfo(dict(img_path=f'image_{index}', img_shape=shape,
                             ori_shape=shape, pad_shape=shape))
    return result


def batch(size=2, seed=0):
    """Images (B, 3, H, W) and data samples."""
    items = [NoisyBlocks()[seed * size + i] for i in range(size)]
    return (torch.stack([item['inputs'] for item in items]),
            [item['data_samples'] for item in items])


def host(**changes):
    """Config of a small segmentor; ResNet of one channel group a stage."""
    norm = dict(type='BN')
    head = dict(
        type='FCNHead', in_channels=16, in_index=1, channels=8, num_convs=1,
        concat_input=False, dropout_ratio=0.1, num_classes=CLASSES,
        norm_cfg=norm, loss_decode=dict(type='CrossEntropyLoss'))
    return ConfigDict(dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size=(SIZE, SIZE)),
        backbone=dict(
            type='ResNet', depth=18, base_channels=8, num_stages=2,
            strides=(1, 2), dilations=(1, 1), out_indices=(0, 1),
            norm_cfg=norm),
        decode_head=head, train_cfg=dict(), test_cfg=dict(mode='whole'),
        **changes))


def metric_head(**changes):
    """Config of a small metric head."""
    return {**dict(
        type='mmpixsort.PixelContrastHead', in_channels=16, source=1,
        num_classes=CLASSES, embed_dims=8, warmup_iters=0,
        projection=dict(
            type='mmpixsort.ProjectionHead', norm_cfg=dict(type='BN')),
        sampler=dict(type='mmpixsort.HardAnchorSampler', max_samples=64,
                     max_views=8),
        bank=dict(type='mmpixsort.ClassQueue', capacity=30),
        keys=dict(num_bank_pixels=3)), **changes}


def attached(**changes):
    """Config of the small segmentor with the metric head."""
    config = host()
    config.type = 'mmpixsort.MetricEncoderDecoder'
    config.metric_head = ConfigDict(metric_head(**changes))
    return config


def sorting_head(source=1, **changes):
    """Config of a small head of segment sorting."""
    return {**dict(
        type='mmpixsort.SegSortHead', source=source,
        in_channels=8 if source == 'decoder' else 16,
        num_classes=CLASSES, embed_dims=8,
        projection=dict(
            type='mmpixsort.ProjectionHead', norm_cfg=dict(type='BN')),
        segmenter=dict(type='mmpixsort.KMeansSegmenter', grid=3)), **changes}


PROTOTYPE_QUEUE = dict(
    type='mmpixsort.PrototypeQueue', capacity=64, num_iterations=2)


def sorting(source=1, classifier='joint', retrieval=None, **changes):
    """Config of the small segmentor with the head of segment sorting."""
    config = host()
    config.type = 'mmpixsort.MetricEncoderDecoder'
    config.classifier = classifier
    config.metric_head = ConfigDict(sorting_head(source, **changes))
    if retrieval is not None:
        config.test_cfg.retrieval = ConfigDict(retrieval)
    return config


def build(config, seed=0):
    """Build a model with weights from a seed, under the scope of mmseg."""
    init_default_scope('mmseg')
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    return model


def runner(work_dir, model, *, iters=4, hooks=(), load_from=None,
           resume=False, seed=0, workers=0, ranks=False, accumulate=1,
           save=None, epochs=False):
    """Return a Runner of `iters` iterations that saves every `save`.

    It validates whenever it saves. With `ranks` it takes part in the process
    group that is there; with `epochs` these are epochs of two iterations.
    """
    save = save or iters
    sampler = 'DefaultSampler' if epochs else 'InfiniteSampler'
    loop = dict(type='EpochBasedTrainLoop', max_epochs=iters) if epochs else (
        dict(type='IterBasedTrainLoop', max_iters=iters))
    data = dict(type='NoisyBlocks', _scope_='mmengine')
    if epochs:
        data.update(num_images=4, noise=False)
    loader = dict(dataset=data, batch_size=2, num_workers=workers)
    DefaultScope._instance_dict.pop('mmseg', None)
    name = f'{abs(hash((str(work_dir), iters, resume, torch.rand(1))))}'
    return Runner(
        model=model, work_dir=str(work_dir), default_scope='mmseg',
        experiment_name=name,
        train_dataloader=dict(
            **loader, sampler=dict(type=sampler, shuffle=True)),
        train_cfg=dict(**loop, val_interval=save),
        val_dataloader=dict(
            loader, dataset=dict(data, noise=False),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg=dict(), val_evaluator=dict(type='IoUMetric'),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.05, momentum=0.9),
            accumulative_counts=accumulate),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=epochs,
                            interval=save),
            logger=dict(type='LoggerHook', interval=2,
                        log_metric_by_epoch=False)),
        custom_hooks=[dict(type='mmpixsort.MemoryBankHook'), *hooks],
        randomness=dict(seed=seed), resume=resume, load_from=load_from,
        log_level='WARNING', launcher='pytorch' if ranks else 'none',
        cfg=dict(model_wrapper_cfg=dict(
            type='CPUDistributedDataParallel')) if ranks else None,
        visualizer=dict(type='Visualizer', vis_backends=[]))


def tester(work_dir, model, *, checkpoint, dataset, metric, hooks=()):
    """Return a Runner that tests a checkpoint."""
    DefaultScope._instance_dict.pop('mmseg', None)
    return Runner(
        model=model, work_dir=str(work_dir), default_scope='mmseg',
        experiment_name=f'test_{abs(hash(str(work_dir)))}',
        load_from=str(checkpoint), test_cfg=dict(), test_evaluator=metric,
        test_dataloader=dict(
            dataset=dataset, batch_size=1, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False)),
        custom_hooks=list(hooks), log_level='WARNING',
        visualizer=dict(
            type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]))
