# Segment sorting on the small host, on CamVid on a CPU, without annotation:
# regions of Felzenszwalb's method in place of the paper's HED contours, each
# to be told from all others (section 3.4 of the paper). The bank alone is
# annotated.
_base_ = './segsort_fcn-mnv2_1xb8-1500it_camvid.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.MakeOverSegmentation', cache_size=367),
    # as in ../_base_/datasets/camvid.py
    dict(
        type='RandomResize',
        scale=_base_.image_scale,
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='mmpixsort.PackSegmentInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    metric_head=dict(
        segments='oversegmentation',
        bank=None,
        sampler=None,
        # some 60 regions a crop
        segmenter=dict(max_segments=800)))
