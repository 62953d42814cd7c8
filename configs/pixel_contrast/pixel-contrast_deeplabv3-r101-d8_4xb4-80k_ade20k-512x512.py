# Pixel contrast: DeepLabV3-R101-d8, ADE20K. Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_deeplabv3-r101-d8_4xb4-80k_ade20k-512x512.py 4
# Hyper-parameters: the authors' for COCO-Stuff, as they released none for
# ADE20K.
_base_ = [
    'mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-80k_ade20k-512x512.py',
    '../_base_/methods/pixel_contrast_stuff.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=2048,
        source=3,
        num_classes=150))
