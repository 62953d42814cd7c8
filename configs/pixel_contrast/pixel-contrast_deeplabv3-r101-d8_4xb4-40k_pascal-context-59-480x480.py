# Pixel contrast: DeepLabV3-R101-d8, PASCAL-Context (59). Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_deeplabv3-r101-d8_4xb4-40k_pascal-context-59-480x480.py 4
# Hyper-parameters: the authors' for PASCAL-Context, see _base_/methods.
_base_ = [
    'mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_pascal-context-59-480x480.py',
    '../_base_/methods/pixel_contrast_stuff.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=2048,
        source=3,
        num_classes=59))
