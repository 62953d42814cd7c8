"""Generated street scenes as an MMSegmentation dataset."""
from typing import List, Tuple

from mmseg.datasets import BaseSegDataset

from mmpixsort.datasets.synthetic import CLASSES, PALETTE, StreetScenes
from mmpixsort.registry import DATASETS


@DATASETS.register_module()
class StreetScenesDataset(BaseSegDataset):
    """Street scenes with CamVid's classes, generated in memory.

    The pipeline must start with `mmpixsort.LoadStreetScene`; any transform
    of mmseg may follow. Nothing is read from disk: leave `data_root` unset.

    Args:
        num_images: Number of scenes, 1 or more.
        size: Height and width of the scenes in pixels.
        seed: Seed of the generator.
        split: 'train', 'val' or 'test'; splits share no scene.
        kwargs: Further arguments of mmseg's `BaseSegDataset`, such as
            `pipeline`, `metainfo`, `indices` and `test_mode`.
    """

    METAINFO = dict(
        classes=CLASSES, palette=[list(colour) for colour in PALETTE])

    def __init__(self,
                 num_images: int,
                 size: Tuple[int, int] = (180, 240),
                 seed: int = 0,
                 split: str = 'train',
                 **kwargs) -> None:
        self.scene_args = dict(
            num_images=num_images, size=tuple(size), seed=seed, split=split)
        StreetScenes(**self.scene_args)  # raises if a value is invalid
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """List the scenes; a name made from the index replaces the path."""
        split, seed = self.scene_args['split'], self.scene_args['seed']
        return [
            dict(
                img_path=f'street_{split}_{seed}_{index:05d}.png',
                scene_args=self.scene_args,
                scene_index=index,
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[])
            for index in range(self.scene_args['num_images'])
        ]
