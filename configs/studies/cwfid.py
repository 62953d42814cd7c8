# Field plants: instances by segment sorting, by the discriminative loss, and
# connected components of a plain network.
title = 'CWFID: panoptic plants'
base = '../panoptic_segsort/panoptic-segsort_fpn-mnv2_1xb4-600it_cwfid.py'
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth')
}
_folder = '../panoptic_segsort/panoptic-segsort_fpn-mnv2'
arms = dict(
    plain=dict(config=f'{_folder}-components_1xb4-600it_cwfid.py'),
    discriminative=dict(
        config=f'{_folder}-discriminative_1xb4-600it_cwfid.py',
        tests=dict(
            meanshift={},
            components={
                'model.head.clusters':
                dict(
                    _delete_=True,
                    type='mmpixsort.ComponentsBackend',
                    min_pixels=4)
            })),
    sorting=dict())
seeds = (0, 1, 2)
scores = ('PQ', 'PQ_th')
split = 'val'
average = dict(last=5, interval=30)
results = '../../docs/results/cwfid'
