# CamVid with all labels: the small host alone, with pixel contrast, and with
# segment sorting beside its classifier. Each predicts by the classifier and by
# retrieval. The settings were chosen with camvid_tuning.py.
title = 'CamVid, all 367 training images'
base = '../plain/plain_fcn-mnv2_1xb8-1500it_camvid.py'
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth')
}
_retrieval = dict(num_neighbors=15, grid=(16, 16))
# finer segments and smooth borders, chosen on training images
# (docs/protocol.md)
_fine = dict(num_neighbors=15, grid=(32, 32), resize='bilinear')
_hooks = [dict(type='mmpixsort.PrototypeBankHook')]
# control for retrieval: a random projection of the plain network's feature,
# which roughly preserves its cosines
_untrained = {
    'model.type': 'mmpixsort.MetricEncoderDecoder',
    'model.metric_head': dict(
        type='mmpixsort.SegSortHead',
        source='decoder',
        in_channels=128,
        num_classes=11,
        embed_dims=128,
        projection=dict(type='mmpixsort.ProjectionHead', linear=True)),
    'model.test_cfg.retrieval': _retrieval,
    'custom_hooks': _hooks
}
_contrast = dict(
    config='../pixel_contrast/pixel-contrast_fcn-mnv2_1xb8-1500it_camvid.py',
    tests=dict(
        classifier={},
        retrieval={
            'model.test_cfg.retrieval': _retrieval,
            'custom_hooks': _hooks
        }))
_banks = {
    # the authors store 5000 a class for 2975 images
    'model.metric_head.bank':
    dict(type='mmpixsort.ClassQueue', capacity=500)
}
# seeds of the baseline and of the best arm
_five = (0, 1, 2, 3, 4)
arms = {
    'plain':
    dict(
        seeds=_five,
        tests=dict(
            classifier={},
            retrieval=_untrained,
            fine={
                **_untrained, 'model.test_cfg.retrieval': _fine
            })),
    'in-batch': _contrast,
    'banks': dict(_contrast, options=_banks),
    **{
        name: dict(
            _contrast,
            options={
                **_banks, 'model.metric_head.miner':
                dict(type='mmpixsort.KeyMiner', strategy=strategy)
            })
        for name, strategy in (('semi-hard', 'semi_hard'),
                               ('hardest', 'hardest'))
    },
    'sorting': dict(
        seeds=_five,
        config='../segsort/segsort_fcn-mnv2-classifier_1xb8-1500it_camvid.py',
        tests=dict(
            classifier={'model.test_cfg.retrieval': None},
            retrieval={},
            fine={'model.test_cfg.retrieval': _fine},
            # the mean of votes and probabilities, not tuned
            mixed={
                'model.test_cfg.retrieval': dict(_fine, classifier_weight=.5)
            }))
}
baseline = 'plain'
seeds = (0, 1, 2)
scores = ('mIoU', 'mBoundaryF')
average = dict(last=5, interval=60)
results = '../../docs/results/camvid'
