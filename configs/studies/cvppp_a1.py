# Leaves (CVPPP A1) by the embedding. The data may not be redistributed.
title = 'CVPPP A1: leaves, the last 28 of 128 plants held out'
base = '../discriminative/' \
    'discriminative_fpn-mnv2_1xb4-900it_cvppp-a1-257x257.py'
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth')
}
arms = dict(embedding=dict())
seeds = (0, )
scores = ('SBD', 'abs_DiC', 'DSB_AP')
split = 'val'
results = '../../docs/results/cvppp_a1'
