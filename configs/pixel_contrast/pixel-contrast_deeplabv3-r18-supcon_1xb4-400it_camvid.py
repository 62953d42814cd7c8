# Ablation: the denominator of Khosla et al. (arXiv 2004.11362).
_base_ = './pixel-contrast_deeplabv3-r18_1xb4-400it_camvid.py'
model = dict(metric_head=dict(loss=dict(denominator='supcon')))
