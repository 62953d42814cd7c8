# Segment sorting on the small host, on CamVid on a CPU: no classifier, labels
# by retrieval.
#   python tools/train.py configs/segsort/\
#       segsort_fcn-mnv2_1xb8-1500it_camvid.py --cfg-options \
#       model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=path/to/backbone.pth
_base_ = './segsort_fcn-mnv2-classifier_1xb8-1500it_camvid.py'
model = dict(
    classifier='none',
    # there is no classifier to say what is hard
    metric_head=dict(sampler=dict(hardness='random')))
