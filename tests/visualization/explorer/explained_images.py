"""A small explained image for tests of the explorer page."""
import numpy as np

from mmpixsort.visualization.explorer.explained import (ExplainedImage,
                                                        NearSegment,
                                                        ShownSegment)

NASTY = '</script><script>document.title="bad"</script><!-- {{script}} &"\''


def small_image(name='a.png', classes=('road', 'sky', 'car')):
    """Return four quadrants: road, sky, road and a car that is not shown."""
    picture = np.full((40, 60, 3), 120, np.uint8)
    ids = np.zeros((40, 60), np.int64)
    ids[:20, 30:], ids[20:, :30], ids[20:, 30:] = 1, 2, 3
    crop = np.full((32, 32, 3), 90, np.uint8)
    near = [NearSegment(7, 0, .95, name), NearSegment(9, 2, .9, 'b.png')]
    labels = np.array([0, 1, 0, 2])
    return ExplainedImage(
        name=name, picture=picture, prediction=picture, embedding=picture,
        ids=ids, labels=labels, confidence=np.array([1., .5, .5, 1.]),
        classes=list(classes), palette=[[10, 20, 30], [0, 0, 255], [9, 9, 9]],
        segments=[
            ShownSegment(number, int(labels[number]), '1/2', {0: 1, 2: 1},
                         600, crop, near) for number in range(3)],
        crops={7: crop, 9: crop})
