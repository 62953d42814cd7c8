# Segment sorting without a classifier, with the small host on CamVid, on
# a CPU. Labels are predicted by retrieval.
#   python tools/train.py configs/segsort/\
#       segsort_fcn-mnv2_1xb8-1500it_camvid.py --cfg-options \
#       model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=path/to/backbone.pth
_base_ = './segsort_fcn-mnv2-classifier_1xb8-1500it_camvid.py'
model = dict(
    classifier='none',
    # without a classifier no pixel is known to be hard
    metric_head=dict(sampler=dict(hardness='random')))
