# Pixel contrast: FCN-HRNet-W48, PASCAL-Context (59). Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_fcn-hr48_4xb4-40k_pascal-context-59-480x480.py 4
# Hyper-parameters: the authors' for PASCAL-Context, see _base_/methods.
_base_ = [
    'mmseg::hrnet/fcn_hr48_4xb4-40k_pascal-context-59-480x480.py',
    '../_base_/methods/pixel_contrast_stuff.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=720,  # all branches: 48 + 96 + 192 + 384
        source=[0, 1, 2, 3],
        num_classes=59))
