# Segment sorting beside the classifier: FCN-HRNet-W48, PASCAL-Context (59).
# Not trained yet.
#   tools/dist_train.sh configs/segsort/\
#     segsort_fcn-hr48_4xb4-40k_pascal-context-59-480x480.py 4
# The classifier predicts while training; with a bank of prototypes (see
# README.md) the same network predicts by retrieval. Model, schedule and
# augmentation are the host's, the rest is in the method's file.
_base_ = [
    'mmseg::hrnet/fcn_hr48_4xb4-40k_pascal-context-59-480x480.py',
    '../_base_/methods/segsort.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.segsort,
        in_channels=720,
        num_classes=59))
