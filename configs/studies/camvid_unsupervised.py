# CamVid: segment sorting without annotation, compared with sorting with
# labels. Neither has a classifier, and both use an annotated bank.
title = 'CamVid, segment sorting from regions alone'
base = '../segsort/segsort_fcn-mnv2_1xb8-1500it_camvid.py'
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth'),
    # as in camvid_few.py; what counts is the ratio of the two arms
    'train_cfg.max_iters': 600,
    'param_scheduler.1.end': 600
}
arms = dict(
    labels=dict(),
    regions=dict(
        config='../segsort/'
        'segsort_fcn-mnv2-unsupervised_1xb8-1500it_camvid.py'),
    views=dict(
        config='../segsort/'
        'segsort_fcn-mnv2-unsupervised-views_1xb8-1500it_camvid.py'))
seeds = (0, 1, 2)
scores = ('mIoU', 'mBoundaryF')
average = dict(last=5, interval=30)
results = '../../docs/results/camvid_unsupervised'
