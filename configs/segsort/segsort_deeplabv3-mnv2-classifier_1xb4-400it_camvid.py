# Segment sorting beside the classifier on CamVid on a CPU: one network that
# predicts both ways. By the classifier: --cfg-options
# model.test_cfg.retrieval=None.
_base_ = './segsort_deeplabv3-mnv2_1xb4-400it_camvid.py'
model = dict(classifier='joint')
