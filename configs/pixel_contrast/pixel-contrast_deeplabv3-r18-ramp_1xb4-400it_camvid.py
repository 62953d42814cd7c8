# Ablation: the loss rises to its weight over an eighth of the
# schedule, after the warm-up.
_base_ = './pixel-contrast_deeplabv3-r18_1xb4-400it_camvid.py'
model = dict(metric_head=dict(ramp_iters=_base_.max_iters // 8))
