# Pixel contrast: OCR-HRNet-W48, ADE20K. Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_ocrnet-hr48_4xb4-80k_ade20k-512x512.py 4
# Hyper-parameters: the authors' for COCO-Stuff, as they released none for
# ADE20K.
_base_ = [
    'mmseg::ocrnet/ocrnet_hr48_4xb4-80k_ade20k-512x512.py',
    '../_base_/methods/pixel_contrast_stuff.py'
]
model = dict(
    type='mmpixsort.MetricCascadeEncoderDecoder',
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=720,  # all branches: 48 + 96 + 192 + 384
        source=[0, 1, 2, 3],
        num_classes=150))
