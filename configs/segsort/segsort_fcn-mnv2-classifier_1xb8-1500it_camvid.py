# Segment sorting beside the classifier of the small host, on CamVid on a CPU:
# one network that predicts both ways, here by retrieval. By the classifier:
# --cfg-options model.test_cfg.retrieval=None.
#   python tools/train.py configs/segsort/\
#       segsort_fcn-mnv2-classifier_1xb8-1500it_camvid.py --cfg-options \
#       model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=path/to/backbone.pth
_base_ = [
    '../plain/plain_fcn-mnv2_1xb8-1500it_camvid.py',
    '../_base_/methods/segsort.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.segsort,
        in_channels=128,
        num_classes=11,
        # paper: every pixel; drawn evenly over images and classes they find
        # more of the rare ones, in 60 % of the time of a step
        # (configs/studies/camvid_tuning.py)
        sampler=dict(type='mmpixsort.HardAnchorSampler', max_samples=4096)),
    # SPML's share: twice the grid of training and more on the whole image
    test_cfg=dict(retrieval=dict(_base_.retrieval, grid=(16, 16))))
custom_hooks = _base_.custom_hooks + [
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
