# Segment sorting beside the classifier: OCR-HRNet-W48, Cityscapes.
# Not trained yet.
#   tools/dist_train.sh configs/segsort/\
#     segsort_ocrnet-hr48_4xb2-40k_cityscapes-512x1024.py 4
# In validation during training the classifier predicts; with a bank of
# prototypes (see README.md) the same network predicts by retrieval. Model,
# schedule and augmentation are those of mmseg; for the sources of all other
# numbers see _base_/methods.
_base_ = [
    'mmseg::ocrnet/ocrnet_hr48_4xb2-40k_cityscapes-512x1024.py',
    '../_base_/methods/segsort_cityscapes.py'
]
model = dict(
    type='mmpixsort.MetricCascadeEncoderDecoder',
    metric_head=dict(
        _base_.segsort,
        in_channels=512,
        num_classes=19))
