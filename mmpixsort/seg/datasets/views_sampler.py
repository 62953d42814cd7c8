"""A sampler that draws several views of each image."""
from typing import Iterator, Optional, Sized

from mmengine.dataset import InfiniteSampler

from mmpixsort.functional.checks import check_count
from mmpixsort.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ViewsSampler(InfiniteSampler):
    """Draw every image several times in a row.

    The pipeline augments each of them anew, so that they are views of one
    image. All of them are drawn by the same rank, and by the same batch if
    `num_views` divides the batch size. Use it with `num_views` of
    :class:`mmpixsort.seg.SegSortHead`.

    Args:
        dataset: Dataset to draw from.
        num_views: Number of views of an image, 1 or more.
        shuffle: Whether the images are drawn in random order.
        seed: Seed of the order; None draws one that all ranks share.

    Raises:
        ValueError: If `num_views` is below 1.

    Example:
        >>> sampler = ViewsSampler(range(3), shuffle=False)
        >>> [index for index, _ in zip(sampler, range(5))]
        [0, 0, 1, 1, 2]
    """

    def __init__(self,
                 dataset: Sized,
                 *,
                 num_views: int = 2,
                 shuffle: bool = True,
                 seed: Optional[int] = None) -> None:
        super().__init__(dataset, shuffle=shuffle, seed=seed)
        check_count('num_views', num_views)
        self.num_views = num_views

    def __iter__(self) -> Iterator[int]:
        """Iterate over indices, each `num_views` times."""
        for index in super().__iter__():
            yield from [index] * self.num_views
