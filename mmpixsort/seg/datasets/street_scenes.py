"""Generated street scenes as an MMSegmentation dataset."""
from typing import List, Tuple

from mmseg.datasets import BaseSegDataset

from mmpixsort.datasets.synthetic import CLASSES, PALETTE, StreetScenes
from mmpixsort.registry import DATASETS


@DATASETS.register_module()
class StreetScenesDataset(BaseSegDataset):
    """Street scenes that are generated in memory, with CamVid's classes.

    The pipeline must start with `mmpixsort.LoadStreetScene`; any transform
    of mmseg may follow. There is no file: `data_root` stays unset.

    Args:
        num_images: number of scenes, positive.
        size: (H, W) of the scenes in pixels.
        seed: of the generator; the same seed gives the same scenes.
        split: 'train', 'val' or 'test', which share no scene.
        kwargs: `pipeline`, `metainfo`, `indices`, `test_mode`, ... of
            mmseg's `BaseSegDataset`.
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
        StreetScenes(**self.scene_args)  # checks the values
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """List the scenes by number; a name stands in for the path."""
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
