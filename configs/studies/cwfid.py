# Field plants (CWFID): instances by segment sorting and by the discriminative
# loss, compared with the connected components of a plain network.
title = 'CWFID: panoptic plants'
base = '../panoptic_segsort/panoptic-segsort_fpn-mnv2_1xb4-600it_cwfid.py'
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth')
}
_folder = '../panoptic_segsort/panoptic-segsort_fpn-mnv2'
_tests = dict(
    meanshift={},
    components={
        'model.head.clusters':
        dict(_delete_=True, type='mmpixsort.ComponentsBackend', min_pixels=4)
    },
    # in cells of 4 pixels; the leaves of a plant need not touch
    joined={
        'model.head.clusters':
        dict(
            _delete_=True,
            type='mmpixsort.SeparatedComponentsBackend',
            margin=1.5,
            join_margin=.75,
            max_gap=8.,
            min_pixels=4)
    })
# control of `joined`: parts are joined by distance alone
_near = {
    'model.head.clusters':
    dict(_tests['joined']['model.head.clusters'], margin=1e6, join_margin=1e6)
}
_discriminative = dict(
    config=f'{_folder}-discriminative_1xb4-600it_cwfid.py', tests=_tests)
arms = {
    'plain': dict(config=f'{_folder}-components_1xb4-600it_cwfid.py'),
    'discriminative': _discriminative,
    # an embedding loss makes the classes worse; on DSB2018 five times the
    # weight of the semantic loss helps
    'discriminative-5':
    dict(_discriminative, options={'model.head.semantic_weight': 5.}),
    # the loss of the embedding does not reach the classes (cwfid_tuning.py)
    'isolated':
    dict(
        config=f'{_folder}-isolated_1xb4-600it_cwfid.py',
        tests=dict(
            _tests,
            joined={},
            meanshift={
                'model.head.clusters':
                dict(
                    _delete_=True,
                    type='mmpixsort.MeanShiftBackend',
                    min_pixels=4,
                    split_components=True)
            },
            near=_near)),
    'sorting': dict()
}
seeds = (0, 1, 2)
scores = ('PQ', 'PQ_th')
split = 'val'
average = dict(last=5, interval=30)
results = '../../docs/results/cwfid'
