# CamVid with one label in eight: 46 images, evenly spaced in the sequences.
_base_ = './camvid.py'
title = 'CamVid, 46 of the 367 training images'
options = {
    'train_cfg.max_iters': 600,
    'param_scheduler.1.end': 600,
    'train_dataloader.dataset.indices': list(range(0, 367, 8))
}
# an eighth of the schedule
_warmup = {'model.metric_head.warmup_iters': 75}
arms = {
    name: dict(options=_warmup)
    for name in ('in-batch', 'banks', 'semi-hard', 'hardest')
}
# as promising as the two that have five in camvid.py
arms['in-batch']['seeds'] = (0, 1, 2, 3, 4)
# these tests were introduced after the runs
for _name in ('plain', 'sorting'):
    arms[_name] = dict(
        tests=dict(
            _delete_=True,
            **{
                test: options
                for test, options in _base_.arms[_name].tests.items()
                if test not in ('fine', 'mixed')
            }))
average = dict(last=5, interval=30)
results = '../../docs/results/camvid_few'
