"""Maps of data samples as pictures show them."""
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmpixsort.visualization.sample_maps import (labels_of_sample,
                                                 maps_of_sample)


def panoptic(truth, instances, prediction):
    return DetDataSample(
        gt_sem_seg=PixelData(sem_seg=torch.tensor([[truth]])),
        gt_instance_map=PixelData(
            data=torch.tensor([[instances]], dtype=torch.int32)),
        pred_panoptic_seg=PixelData(
            sem_seg=torch.tensor([[prediction]], dtype=torch.int32)))


def test_maps__of_a_panoptic_sample_agree_where_it_is_right():
    """Void is 255 in the truth and the number of classes in a prediction."""
    found = maps_of_sample(panoptic(
        [0, 0, 1, 2, 255], [1, 2, 1, 0, 0], [1000, 2000, 1001, 2, 3]), 3)
    assert (found['truth'] == found['prediction']).all()
    assert found['truth'].shape == (1, 5) and found['truth'][0, 4] == -1
    assert len(set(found['truth'][0].tolist())) == 5


def test_labels__of_instances_first_on_top():
    masks = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]]]).bool()
    sample = BaseDataElement(
        pred_instances=InstanceData(masks=masks),
        gt_instance_map=PixelData(data=torch.tensor([[[-1, 0, 1, 300]]])))
    found = labels_of_sample(sample, 'pred_sem_seg', 'pred_instances')
    assert found.tolist() == [[0, 0, 1, -1]]
    truth = labels_of_sample(sample, 'gt_sem_seg', 'gt_instance_map')
    assert truth.tolist() == [[-1, -1, 0, 44]]
    assert labels_of_sample(sample, 'gt_sem_seg', 'gt_panoptic_seg') is None
