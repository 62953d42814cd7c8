# Segment sorting beside the classifier: FCN-HRNet-W48, PASCAL-Context (59).
# Not trained yet.
#   tools/dist_train.sh configs/segsort/\
#     segsort_fcn-hr48_4xb4-40k_pascal-context-59-480x480.py 4
# In validation during training the classifier predicts; with a bank of
# prototypes (see README.md) the same network predicts by retrieval. Model,
# schedule and augmentation are those of mmseg; for the sources of all other
# numbers see _base_/methods.
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
