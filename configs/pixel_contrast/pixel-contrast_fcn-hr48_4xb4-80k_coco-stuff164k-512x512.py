# Pixel contrast: FCN-HRNet-W48, COCO-Stuff 164k. Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_fcn-hr48_4xb4-80k_coco-stuff164k-512x512.py 4
# Hyper-parameters: the authors' for COCO-Stuff, see _base_/methods.
# mmseg has no FCN-HRNet-W48 for this data set: assembled from its parts.
_base_ = [
    '../_base_/models/fcn_hr48.py',
    'mmseg::_base_/datasets/coco-stuff164k.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_80k.py',
    '../_base_/methods/pixel_contrast_stuff.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=171),
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=720,  # all branches: 48 + 96 + 192 + 384
        source=[0, 1, 2, 3],
        num_classes=171))
