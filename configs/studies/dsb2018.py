# Nuclei of the Data Science Bowl 2018: instances by the embedding, compared
# with instances by the mask of the same network and of a network without an
# embedding loss.
title = 'DSB2018: embedding, watershed and components'
base = '../discriminative/discriminative_fpn-mnv2_1xb4-3000it_dsb2018.py'
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth')
}
_components = dict(
    _delete_=True, type='mmpixsort.ComponentsBackend', min_pixels=20)
_mask = dict(
    watershed={'model.head.clusters': dict(_components, watershed=True)},
    components={'model.head.clusters': _components})
# by the embedding alone, as in the paper; bandwidth and the other settings
# were chosen on the validation images
_meanshift = dict(
    _delete_=True,
    type='mmpixsort.MeanShiftBackend',
    bandwidth=1.25,
    reassign='nearest',
    min_pixels=20,
    split_components=True)
arms = dict(
    plain=dict(
        config='../discriminative/'
        'discriminative_fpn-mnv2-components_1xb4-3000it_dsb2018.py',
        tests=_mask),
    embedding=dict(
        tests=dict(
            separated={},
            meanshift={'model.head.clusters': _meanshift},
            **_mask)))
seeds = (0, 1, 2)
scores = ('SBD', 'coco/segm_mAP', 'abs_DiC')
average = dict(last=5, interval=100)
results = '../../docs/results/dsb2018'
