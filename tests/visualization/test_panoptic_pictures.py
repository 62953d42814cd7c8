import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from mmpixsort.visualization.embedding_hook import _maps


def test_maps__of_a_panoptic_sample_agree_where_it_is_right():
    classes = torch.tensor([[[0, 0, 1, 2, 255]]])
    instances = torch.tensor([[[1, 2, 1, 0, 0]]], dtype=torch.int32)
    sample = DetDataSample(
        gt_sem_seg=PixelData(sem_seg=classes),
        gt_instance_map=PixelData(data=instances),
        pred_panoptic_seg=PixelData(
            sem_seg=(classes + 1000 * instances).int()))
    found = _maps(sample)
    assert (found['truth'] == found['prediction']).all()
    assert found['truth'].shape == (1, 5) and found['truth'][0, 4] == -1
    assert len(set(found['truth'][0].tolist())) == 5
