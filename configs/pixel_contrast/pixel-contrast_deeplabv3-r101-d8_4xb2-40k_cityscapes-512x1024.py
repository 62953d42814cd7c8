# Pixel contrast: DeepLabV3-R101-d8, Cityscapes. Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_deeplabv3-r101-d8_4xb2-40k_cityscapes-512x1024.py 4
# Hyper-parameters: the authors' for Cityscapes, see _base_/methods.
_base_ = [
    'mmseg::deeplabv3/deeplabv3_r101-d8_4xb2-40k_cityscapes-512x1024.py',
    '../_base_/methods/pixel_contrast.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=2048,
        source=3,
        num_classes=19))
