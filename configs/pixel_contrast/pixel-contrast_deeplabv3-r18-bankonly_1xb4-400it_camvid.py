# Ablation: keys from the bank alone, as the released memory code.
_base_ = './pixel-contrast_deeplabv3-r18_1xb4-400it_camvid.py'
model = dict(metric_head=dict(key_scope='bank'))
