# Pixel contrast: OCR-HRNet-W48, PASCAL-Context (59). Not trained yet.
#   tools/dist_train.sh configs/pixel_contrast/\
#     pixel-contrast_ocrnet-hr48_4xb4-40k_pascal-context-59-480x480.py 4
# Hyper-parameters: the authors' for PASCAL-Context, see _base_/methods.
# mmseg has no OCR-HRNet-W48 for this data set: assembled from its parts.
_base_ = [
    '../_base_/models/ocrnet_hr48.py',
    'mmseg::_base_/datasets/pascal_context_59.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_40k.py',
    '../_base_/methods/pixel_contrast_stuff.py'
]
model = dict(
    type='mmpixsort.MetricCascadeEncoderDecoder',
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=[
        dict(head, num_classes=59) for head in _base_.model.decode_head
    ],
    test_cfg=dict(mode='slide', crop_size=(480, 480), stride=(320, 320)),
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=720,  # all branches: 48 + 96 + 192 + 384
        source=[0, 1, 2, 3],
        num_classes=59))
# as mmseg::hrnet/fcn_hr48_4xb4-40k_pascal-context-59-480x480.py
optim_wrapper = dict(optimizer=dict(lr=0.004, weight_decay=0.0001))
