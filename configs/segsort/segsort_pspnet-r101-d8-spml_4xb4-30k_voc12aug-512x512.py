# Segment sorting with the layers of SPML on PSPNet, for weights that
# tools/model_converters/convert_spml.py converted. Not trained here.
# Layers: twke18/SPML at 0800afd, spml/models/embeddings/resnet_pspnet.py and
# spml/models/backbones/resnet.py. Numbers: bashscripts/voc12/
# train_spml_scribble.sh and train_spml_tag.sh there; of the losses, only that
# of semantic annotation is part of this package. Two differences are left:
# here the embedding is normalised before and after it is enlarged, there only
# after, and prediction is by retrieval only.
_base_ = './segsort_pspnet-r101-d8_1xb8-30k_voc12aug-336x336.py'
crop_size = (512, 512)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(datasets=[
        dict(_base_.dataset_train, pipeline=train_pipeline),
        dict(_base_.dataset_aug, pipeline=train_pipeline)
    ]))
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(stem_channels=128),
    metric_head=dict(
        embed_dims=64,
        projection=dict(upsample=2),
        segmenter=dict(grid=6, num_iters=10),
        loss=dict(concentration=6.),
        # prototypes of 2 iterations, 36 cells for each crop
        bank=dict(capacity=1152)),
    test_cfg=dict(
        retrieval=dict(num_neighbors=20, grid=(12, 12), num_iters=10)))
optim_wrapper = dict(optimizer=dict(lr=3e-3))
auto_scale_lr = dict(base_batch_size=16)
