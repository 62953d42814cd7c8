# Segment sorting with the layers of SPML on DeepLab v2, for weights that
# tools/model_converters/convert_spml.py converted. Not trained here.
# Layers: twke18/SPML at 0800afd, spml/models/embeddings/resnet_deeplab.py.
# The embedding is a sum of dilated convolutions on the last level of the
# backbone. The decode head is not trained and not used: it has one small
# layer, and prediction is by retrieval.
_base_ = './segsort_pspnet-r101-d8-spml_4xb4-30k_voc12aug-512x512.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=2048,
        in_index=3,
        channels=2048,
        num_convs=0,
        concat_input=False,
        num_classes=21,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    metric_head=dict(
        source=3,
        in_channels=2048,
        projection=dict(
            _delete_=True,
            type='mmpixsort.AtrousProjection',
            dilations=(6, 12, 18, 24),
            upsample=2)))
