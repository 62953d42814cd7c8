"""Hook that draws predictions and embeddings in validation and test."""
import os.path as osp
from typing import Any, Dict, List, Optional, Sequence

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpixsort.registry import HOOKS
from mmpixsort.utils.embeddings import embed_batch
from mmpixsort.utils.wrapped import first_view, unwrap

from .panels import as_picture, embedding_pictures
from .sample_maps import groups_of_sample, maps_of_sample
from .sample_pictures import sample_pictures


@HOOKS.register_module()
class EmbeddingVisualizationHook(Hook):
    """Write pictures of the first images of a validation or test run.

    For every image, the visualizer gets up to three pictures: `_prediction`,
    `_embedding`, and `_panel`, which shows image, ground truth, prediction,
    groups and embedding side by side. The colours of an embedding are its
    three principal components. All images of a run share one basis, so equal
    embeddings have equal colours. With test-time augmentation, the first
    view is shown.

    The model needs a method `extract_embedding(inputs)` that takes
    preprocessed images (B, 3, H, W) and returns embeddings (B, D, h, w), as
    `mmpixsort.MetricEncoderDecoder` and `mmpixsort.EmbeddingInstanceSegmentor`
    have. Classes get the colours of the data set, instances and panoptic
    segments other distinct colours. Groups of a text-supervised model
    (`pred_groups`) are drawn as outlines on the image.

    Args:
        num_images: Number of images to show, 1 or more.
        stages: Stages in which pictures are written: 'val', 'test' or both.
        with_embedding: Whether to show embeddings. Use False for a plain
            host model.

    Raises:
        ValueError: If an argument is out of range.
        TypeError: If the model has no `extract_embedding`; it is raised
            before the first image.
    """

    # after hooks that use the outputs
    priority = 'LOW'

    def __init__(self,
                 num_images: int = 8,
                 stages: Sequence[str] = ('test', ),
                 with_embedding: bool = True) -> None:
        if num_images < 1:
            raise ValueError(
                f'`num_images` must be positive, got {num_images}')
        if not stages or set(stages) - {'val', 'test'}:
            raise ValueError(
                f"`stages` must name 'val', 'test' or both, got {stages!r}")
        self.num_images = num_images
        self.stages = tuple(stages)
        self.with_embedding = with_embedding
        self._shown: List[Dict] = []

    def before_val_epoch(self, runner: Runner) -> None:
        self._start(runner, 'val')

    def before_test_epoch(self, runner: Runner) -> None:
        self._start(runner, 'test')

    def after_val_iter(self,
                       runner: Runner,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: Optional[Sequence] = None) -> None:
        self._collect(runner, 'val', data_batch, outputs)

    def after_test_iter(self,
                        runner: Runner,
                        batch_idx: int,
                        data_batch: Any = None,
                        outputs: Optional[Sequence] = None) -> None:
        self._collect(runner, 'test', data_batch, outputs)

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict] = None) -> None:
        self._write(runner, 'val')

    def after_test_epoch(self,
                         runner: Runner,
                         metrics: Optional[Dict] = None) -> None:
        self._write(runner, 'test')

    def _start(self, runner: Runner, stage: str) -> None:
        """Clear the images of the last run, and check the model."""
        self._shown = []
        model = unwrap(runner.model)
        if stage in self.stages and self.with_embedding and not hasattr(
                model, 'extract_embedding'):
            raise TypeError(
                f'{type(model).__name__} has no `extract_embedding`; use '
                "type='mmpixsort.MetricEncoderDecoder' with a `metric_head`, "
                'or set `with_embedding=False` in this hook')

    def _collect(self, runner: Runner, stage: str, data_batch: Any,
                 outputs: Optional[Sequence]) -> None:
        """Store image, maps and embedding of the images of a batch."""
        room = self.num_images - len(self._shown)
        if stage not in self.stages or room < 1 or not is_main_process():
            return
        data_batch = first_view(runner.model, data_batch)
        embeddings = embed_batch(
            unwrap(runner.model), data_batch,
            room) if self.with_embedding else []
        classes = _meta(runner, stage).get('classes', ())
        for number, sample in enumerate(outputs[:room]):
            image = data_batch['inputs'][number].cpu().numpy()
            self._shown.append(
                dict(
                    name=self._name(sample),
                    image=as_picture(image),
                    size=tuple(sample.ori_shape),
                    **maps_of_sample(sample, len(classes)),
                    of_instances='pred_instances' in sample,
                    groups=groups_of_sample(sample),
                    embedding=embeddings[number] if embeddings else None))

    def _name(self, sample: Any) -> str:
        """Return the name of the image file, for the pictures of a sample.

        If the name is taken by an image of another folder, the number of the
        image is appended.
        """
        number = len(self._shown)
        path = sample.get('img_path', None)
        if not path:
            return f'{number:04d}'
        name = osp.splitext(osp.basename(path))[0]
        taken = {item['name'] for item in self._shown}
        return f'{name}_{number:04d}' if name in taken else name

    def _write(self, runner: Runner, stage: str) -> None:
        """Pass all pictures of the run to the visualizer."""
        shown, self._shown = self._shown, []
        if stage not in self.stages or not shown:
            return
        if self.with_embedding:
            pictures = embedding_pictures([s['embedding'] for s in shown],
                                          [s['size'] for s in shown])
            for item, picture in zip(shown, pictures):
                item['embedding'] = picture
        palette = _meta(runner, stage).get('palette', ())
        for item in shown:
            colours = () if item['of_instances'] else palette
            pictures = sample_pictures(
                item['image'], truth=item['truth'],
                prediction=item['prediction'], groups=item['groups'],
                embedding=item['embedding'], palette=colours)
            for kind, picture in pictures.items():
                runner.visualizer.add_image(
                    f'{stage}_{item["name"]}_{kind}', picture, runner.iter)


def _meta(runner: Runner, stage: str) -> dict:
    """Return the METAINFO of the data set that is shown."""
    loop = runner.val_loop if stage == 'val' else runner.test_loop
    return loop.dataloader.dataset.metainfo
