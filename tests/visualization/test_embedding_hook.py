"""The hook that writes pictures, in a real evaluation loop."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, PixelData
from torch.utils.data import Dataset

from mmpixsort.registry import HOOKS
from mmpixsort.visualization import EmbeddingVisualizationHook


class Toy(Dataset):
    """Three images of different sizes, as PackSegInputs would give them."""

    metainfo = dict(classes=('a', 'b'), palette=[[255, 0, 0], [0, 255, 0]])

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows, cols = 20 + 4 * index, 30
        image = torch.zeros(3, rows, cols, dtype=torch.uint8)
        image[0] = 200  # blue, in BGR
        labels = torch.zeros(1, rows, cols, dtype=torch.long)
        labels[..., :15] = 1
        sample = BaseDataElement(
            metainfo=dict(img_path=f'folder/img{index}.jpg',
                          img_shape=(rows, cols), ori_shape=(rows, cols)),
            gt_sem_seg=PixelData(data=labels))
        return dict(inputs=image, data_samples=sample)


class Stack(BaseDataPreprocessor):

    def forward(self, data, training=False):
        data = self.cast_data(data)
        inputs = torch.stack([i.float() for i in data['inputs']])
        return dict(inputs=inputs, data_samples=data['data_samples'])


class Plain(BaseModel):

    def __init__(self):
        super().__init__(data_preprocessor=Stack())
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, data_samples=None, mode='predict'):
        for sample in data_samples:
            sample.pred_sem_seg = PixelData(data=sample.gt_sem_seg.data)
        return data_samples


class Embedding(Plain):

    def extract_embedding(self, inputs):
        assert not torch.is_grad_enabled()
        rows = torch.linspace(0, 1, inputs.shape[2] // 2)
        cols = torch.linspace(0, 1, inputs.shape[3] // 2)
        return torch.stack(torch.meshgrid(rows, cols, indexing='ij')
                           )[None].repeat(len(inputs), 1, 1, 1)


class Nothing(BaseMetric):
    default_prefix = 'none'

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(count=len(results))


def _run(tmp_path, model, dataset=Toy(), **options):
    runner = Runner(
        model,
        work_dir=str(tmp_path),
        test_dataloader=dict(
            batch_size=1, dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate')),
        test_cfg=dict(),
        test_evaluator=Nothing(),
        custom_hooks=[
            dict(type='mmpixsort.EmbeddingVisualizationHook', **options)
        ],
        visualizer=dict(
            type='Visualizer', name=str(tmp_path),
            vis_backends=[dict(type='LocalVisBackend')]),
        experiment_name=tmp_path.name,
        log_level='ERROR',
        default_scope='mmengine')
    runner.test()
    return {
        path.stem: path
        for path in tmp_path.rglob('vis_image/*.png')
    }


def _read(path):
    import cv2
    return cv2.imread(str(path))[..., ::-1]


def test_hook__writes_pictures_of_first_images(tmp_path):
    files = _run(tmp_path, Embedding(), num_images=2)
    assert sorted(files) == sorted(
        f'test_img{index}_{kind}_0' for index in (0, 1)
        for kind in ('embedding', 'panel', 'prediction'))
    prediction = _read(files['test_img1_prediction_0'])
    assert prediction.shape == (24, 30, 3)
    assert (prediction[:, :15] == (0, 255, 0)).all()
    panel = _read(files['test_img0_panel_0'])
    assert panel.shape[1] == 4 * 30 + 3 * 4
    assert (panel[-20:, :30] == (0, 0, 200)).all()  # RGB again
    embedding = _read(files['test_img0_embedding_0'])
    assert embedding.shape == (20, 30, 3) and np.ptp(embedding) > 200


def test_hook__images_of_one_name(tmp_path):
    class Folders(Toy):

        def __getitem__(self, index):
            item = super().__getitem__(index)
            item['data_samples'].set_metainfo(
                dict(img_path=f'folder{index}/img.jpg'))
            return item

    files = _run(tmp_path, Embedding(), dataset=Folders(), num_images=3)
    assert sorted(name for name in files if 'panel' in name) == [
        f'test_img{number}_panel_0' for number in ('_0001', '_0002', '')]


def test_hook__without_embedding(tmp_path):
    files = _run(tmp_path, Plain(), with_embedding=False)
    assert len(files) == 6
    panel = _read(files['test_img0_panel_0'])
    assert panel.shape[1] == 3 * 30 + 2 * 4


def test_hook__other_stage_writes_nothing(tmp_path):
    assert not _run(tmp_path, Plain(), stages=('val', ))


def test_hook__model_without_embedding(tmp_path):
    with pytest.raises(TypeError, match='Plain has no `extract_embedding`'):
        _run(tmp_path, Plain())


@pytest.mark.parametrize('options, text', [
    (dict(num_images=0), '`num_images` must be positive, got 0'),
    (dict(stages=()), '`stages`'),
    (dict(stages=('train', )), '`stages`'),
])
def test_hook__bad_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        EmbeddingVisualizationHook(**options)


def test_hook__registered():
    hook = HOOKS.build(dict(type='mmpixsort.EmbeddingVisualizationHook'))
    assert isinstance(hook, EmbeddingVisualizationHook)
