"""mmdet's own functions predict a new image with our configs."""
import cv2
import numpy as np
import pytest
import tiny_instances as tiny
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config

PANOPTIC = tiny.panoptic(dict(
    num_things=2, num_stuff=1, rules=dict(threshold=.5)))
RUNS = dict(
    panoptic=('panoptic_segsort/panoptic-segsort_fpn-mnv2_1xb4-600it_cwfid',
              PANOPTIC, 'pred_panoptic_seg'),
    instances=('discriminative/discriminative_fpn-mnv2_1xb4-3000it_dsb2018',
               tiny.config(dict(num_classes=1)), 'pred_instances'))


@pytest.mark.parametrize('name', RUNS)
def test_host__predicts_an_image_without_annotation(name, repo_root,
                                                    tmp_path):
    config, model, field = RUNS[name]
    cfg = Config.fromfile(repo_root / f'configs/{config}.py')
    cfg.model = model
    cfg.dump(tmp_path / 'config.py')
    built = tiny.build_config(cfg.model)
    torch.save(dict(state_dict=built.state_dict()), tmp_path / 'w.pth')
    image = np.random.default_rng(0).integers(
        0, 255, (64, 96, 3), dtype=np.uint8)
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, image)
    files = str(tmp_path / 'config.py'), str(tmp_path / 'w.pth')

    detector = init_detector(*files, device='cpu')
    for given in (path, image):
        assert field in inference_detector(detector, given)
    infer = DetInferencer(*files, device='cpu', show_progress=False)
    found = infer(path, out_dir=str(tmp_path / 'out'), no_save_pred=True,
                  return_datasamples=True)
    assert field in found['predictions'][0]
    assert (tmp_path / 'out/vis/a.png').is_file()
