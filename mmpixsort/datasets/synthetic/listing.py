"""The scenes of a generator as the list of images of a data set."""
from typing import List, Union

from .sticks import ScatteredSticks
from .street_scenes import StreetScenes


def scene_infos(kind: str,
                scenes: Union[ScatteredSticks, StreetScenes]) -> List[dict]:
    """List scenes by number; a name stands in for the path of a file.

    Args:
        kind: Word that the names begin with.
        scenes: Generator, with its size, split and seed.
    """
    height, width = scenes.size
    name = f'{kind}_{scenes.split}_{scenes.seed}'
    return [
        dict(
            img_id=index,
            img_path=f'{name}_{index:05d}.png',
            height=height,
            width=width) for index in range(len(scenes))
    ]
