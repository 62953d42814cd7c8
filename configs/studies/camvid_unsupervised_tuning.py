# CamVid, segment sorting from regions alone: what could make it better, on the
# fold of the training images that camvid_tuning.py holds out, in short runs.
# The test images are not used.
_base_ = './camvid_tuning.py'
title = 'CamVid, segment sorting from regions, tuning on a fold'
base = '../segsort/segsort_fcn-mnv2-unsupervised_1xb8-1500it_camvid.py'
options = {'train_cfg.max_iters': 300, 'param_scheduler.1.end': 300}
# three times as large
_coarse = {
    'train_dataloader.dataset.pipeline.1.scale': 600.,
    'train_dataloader.dataset.pipeline.1.min_size': 200
}
_views = '../segsort/segsort_fcn-mnv2-unsupervised-views_1xb8-1500it_camvid.py'


def _backbone(rate):
    return {
        'optim_wrapper.paramwise_cfg':
        dict(custom_keys=dict(backbone=dict(lr_mult=rate)))
    }


arms = dict(
    _delete_=True,
    labels=dict(config='../segsort/segsort_fcn-mnv2_1xb8-1500it_camvid.py'),
    regions=dict(),
    coarse=dict(options=_coarse),
    slow=dict(options=_backbone(.1)),
    frozen=dict(options=_backbone(0.)),
    # four times the dimensions
    wide=dict(options={'model.metric_head.embed_dims': 128}),
    # the levels of the backbone, not the decoder that starts from random
    # weights
    levels=dict(
        options={
            'model.metric_head.in_channels': 472,
            'model.metric_head.source': (0, 1, 2, 3)
        }),
    # two views of an image, whose equal regions attract each other
    views=dict(config=_views),
    wide_views=dict(
        config=_views, options={'model.metric_head.embed_dims': 128}),
    # four views each of two images
    four_views=dict(
        config=_views,
        options={
            'train_dataloader.sampler.num_views': 4,
            'model.metric_head.num_views': 4
        }),
    # the concentration of Ke et al.
    sharp_views=dict(
        config=_views,
        options={'model.metric_head.loss.concentration': 16.}),
    # control: ImageNet weights and a random decoder; the iterations only
    # measure the statistics of normalisation
    untrained=dict(
        options={
            'optim_wrapper.optimizer.lr': 0.,
            'train_cfg.max_iters': 75
        }))
baseline = 'labels'
average = dict(last=5, interval=15)
results = '../../docs/results/camvid_unsupervised_tuning'
