"""Generated shapes with captions as an MMSegmentation dataset."""
from typing import List, Sequence, Tuple

from mmseg.datasets import BaseSegDataset

from mmpixsort.datasets.synthetic.captioned_shapes import (SHAPE_CLASSES,
                                                           SHAPE_PALETTE,
                                                           CaptionedShapes)
from mmpixsort.registry import DATASETS


@DATASETS.register_module()
class GeneratedShapesCaptions(BaseSegDataset):
    """Captioned shapes of 7 classes, generated in memory.

    The pipeline must start with `mmpixsort.LoadCaptionedShapes`. The split
    'train' gives pictures, captions and nouns without labels; the other
    splits also give labels. Nothing is read from disk: leave `data_root`
    unset.

    Args:
        num_images: Number of scenes, 1 or more.
        size: Height and width of the scenes in pixels.
        seed: Seed of the generator.
        split: 'train', 'val', 'test', or 'pairs', whose scenes all show a
            held-out pair; splits share no scene.
        drop_noun: Probability in [0, 1] with which a caption leaves out each
            shape.
        held_out_pairs: Pairs of nouns that occur together only in the split
            'pairs'. Give the same pairs to all splits.
        kwargs: Further arguments of mmseg's `BaseSegDataset`, such as
            `pipeline`, `metainfo`, `indices` and `test_mode`.
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
        CaptionedShapes(**self.scene_args)  # raises if a value is invalid
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """List the scenes; a name made from the index replaces the path."""
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
