# Ablation: anchors drawn without hardness.
_base_ = './pixel-contrast_deeplabv3-r18_1xb4-400it_camvid.py'
model = dict(metric_head=dict(sampler=dict(hardness='random')))
