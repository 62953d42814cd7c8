# Pixel contrast: OCR-HRNet-W48, Cityscapes. Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_ocrnet-hr48_4xb2-40k_cityscapes-512x1024.py 4
# Hyper-parameters: the authors' for Cityscapes, see _base_/methods.
_base_ = [
    'mmseg::ocrnet/ocrnet_hr48_4xb2-40k_cityscapes-512x1024.py',
    '../_base_/methods/pixel_contrast.py'
]
model = dict(
    type='mmpixsort.MetricCascadeEncoderDecoder',
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=720,  # all branches: 48 + 96 + 192 + 384
        source=[0, 1, 2, 3],
        num_classes=19))
