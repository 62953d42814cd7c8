# CamVid on a fold of the training images, by which the settings of the other
# CamVid studies were chosen. The last quarter of each of the three training
# sequences is held out (91 images). The test images are not used.
title = 'CamVid, tuning on a fold of the training images'
base = '../plain/plain_fcn-mnv2_1xb8-1500it_camvid.py'
# files are sorted by name: 0001TP has 62 images, 0006R0 101, 0016E5 204
_ends = ((0, 62), (62, 163), (163, 367))
_held_out = [
    i for start, end in _ends for i in range(end - (end - start) // 4, end)
]
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth'),
    'train_cfg.max_iters': 600,
    'param_scheduler.1.end': 600,
    'train_dataloader.dataset.indices':
    [i for i in range(367) if i not in _held_out],
    'val_dataloader.dataset.indices': _held_out,
    'val_dataloader.dataset.data_prefix':
    dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
}
split = 'val'
_contrast = '../pixel_contrast/pixel-contrast_fcn-mnv2_1xb8-1500it_camvid.py'
_sorting = '../segsort/segsort_fcn-mnv2-classifier_1xb8-1500it_camvid.py'
_decoder = {'model.metric_head.warmup_iters': 75}
_levels = {
    'model.metric_head.in_channels': 472,
    'model.metric_head.source': (0, 1, 2, 3)
}
_both = dict(
    classifier={'model.test_cfg.retrieval': None}, retrieval={})
arms = dict(
    plain=dict(),
    levels=dict(
        config=_contrast,
        options=dict(_levels, **{'model.metric_head.warmup_iters': 75})),
    decoder=dict(config=_contrast, options=_decoder),
    # four times as many anchors, as they help the classifier beside sorting
    anchors=dict(
        config=_contrast,
        options=dict(
            _decoder, **{'model.metric_head.sampler.max_samples': 4096})),
    # attached like segment sorting: at full weight, through a linear layer
    linear=dict(
        config=_contrast,
        options={
            **_decoder, 'model.metric_head.sampler.max_samples': 4096,
            'model.metric_head.loss.loss_weight': 1.,
            'model.metric_head.projection':
            dict(type='mmpixsort.ProjectionHead', linear=True)
        }),
    sorting=dict(
        config=_sorting,
        tests=_both,
        options={'model.metric_head.sampler': None}),
    drawn=dict(config=_sorting, tests=_both),
    # remedies for `drawn`: twice the weight; prototypes of ten iterations of
    # some 500 segments, in place of the last 400; levels of the backbone
    drawn_double=dict(
        config=_sorting,
        tests=_both,
        options={'model.metric_head.loss.loss_weight': 2.}),
    drawn_queue=dict(
        config=_sorting,
        tests=_both,
        options={
            'model.metric_head.bank.capacity': 6000,
            'model.metric_head.bank.num_iterations': 10
        }),
    drawn_levels=dict(config=_sorting, tests=_both, options=_levels),
    heavy=dict(
        config=_contrast,
        options={
            **_levels, 'model.metric_head.warmup_iters':
            0,
            'model.metric_head.projection':
            dict(type='mmpixsort.ProjectionHead', linear=True),
            'model.metric_head.loss.loss_weight':
            1.
        }))
seeds = (0, )
scores = ('mIoU', 'mBoundaryF')
average = dict(last=5, interval=30)
results = '../../docs/results/camvid_tuning'
