# Segment sorting beside the classifier: DeepLabV3-R101-d8, VOC 2012 (train+).
# Not trained yet.
#   tools/dist_train.sh configs/segsort/\
#     segsort_deeplabv3-r101-d8_4xb4-40k_voc12aug-512x512.py 4
# In validation during training the classifier predicts; with a bank of
# prototypes (see README.md) the same network predicts by retrieval. Model,
# schedule and augmentation are those of mmseg; for the sources of all other
# numbers see _base_/methods.
_base_ = [
    'mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512.py',
    '../_base_/methods/segsort.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.segsort,
        in_channels=512,
        num_classes=21))
