"""Generated shapes with captions as an MMSegmentation dataset."""
from typing import List, Sequence, Tuple

from mmseg.datasets import BaseSegDataset

from mmpixsort.datasets.synthetic.captioned_shapes import (SHAPE_CLASSES,
                                                           SHAPE_PALETTE,
                                                           CaptionedShapes)
from mmpixsort.registry import DATASETS


@DATASETS.register_module()
class GeneratedShapesCaptions(BaseSegDataset):
    """Captioned shapes that are generated in memory, 7 classes.

    The pipeline must start with `mmpixsort.LoadCaptionedShapes`. The split
    'train' gives pictures, captions and nouns without masks; the others
    also give masks. There is no file: `data_root` stays unset.

    Args:
        num_images: number of scenes, positive.
        size: (H, W) of the scenes in pixels.
        seed: of the generator; the same seed gives the same scenes.
        split: 'train', 'val', 'test', or 'pairs': scenes with a held-out
            pair; no scene is in two splits.
        drop_noun: in [0, 1], how often a caption leaves a shape out.
        held_out_pairs: pairs of nouns that only the split 'pairs' shows
            together; give the same pairs to all splits.
        kwargs: `pipeline`, `metainfo`, `indices`, `test_mode`, ... of
            mmseg's `BaseSegDataset`.
    """

    METAINFO = dict(
        classes=SHAPE_CLASSES,
        palette=[list(colour) for colour in SHAPE_PALETTE])

    def __init__(self,
                 num_images: int,
                 size: Tuple[int, int] = (64, 64),
                 seed: int = 0,
                 split: str = 'train',
                 drop_noun: float = 0.,
                 held_out_pairs: Sequence[Sequence[str]] = (),
                 **kwargs) -> None:
        self.scene_args = dict(
            length=num_images, split=split, seed=seed, size=tuple(size),
            drop_noun=drop_noun,
            held_out_pairs=tuple(map(tuple, held_out_pairs)))
        CaptionedShapes(**self.scene_args)  # checks the values
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """List the scenes by number; a name stands in for the path."""
        split, seed = self.scene_args['split'], self.scene_args['seed']
        return [
            dict(
                img_path=f'shapes_{split}_{seed}_{index:05d}.png',
                scene_args=self.scene_args,
                scene_index=index,
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[])
            for index in range(self.scene_args['length'])
        ]
