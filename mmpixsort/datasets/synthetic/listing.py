"""List generated scenes in the form in which data sets list their images."""
from typing import List, Union

from .sticks import ScatteredSticks
from .street_scenes import StreetScenes


def scene_infos(kind: str,
                scenes: Union[ScatteredSticks, StreetScenes]) -> List[dict]:
    """Return the entries of a data set for all scenes of a generator.

    Scenes are not stored in files, so `img_path` is a name only.

    Args:
        kind: First word of all names.
        scenes: Generator of the scenes.

    Returns:
        A dict for each scene with `img_id` (the index of the scene),
        `img_path`, `height` and `width`.
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
