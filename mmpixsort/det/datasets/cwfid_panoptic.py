"""Field plants (CWFID) as a panoptic MMDetection dataset."""
from mmpixsort.registry import DATASETS

from .panoptic import PanopticDataset


@DATASETS.register_module()
class CWFIDPanopticDataset(PanopticDataset):
    """Crop/Weed Field Image Dataset with the things crop and weed on soil.

    Haug and Ostermann, "A Crop/Weed Field Image Dataset for the Evaluation
    of Computer Vision Based Precision Agriculture Tasks", ECCV workshops
    2014. The data set has 60 images of a field with 162 crop plants and 330
    weeds. Each plant is an instance, and vegetation without an annotation is
    void. The data may be used for non-commercial research only.
    """

    METAINFO = dict(
        thing_classes=('crop', 'weed'),
        stuff_classes=('soil', ),
        palette=[(0, 255, 0), (255, 0, 0), (120, 90, 60)])
    LAYOUT = ('panoptic_{train,val}.json, panoptic/{train,val}/*.png, '
              'images/{train,val}/*.jpg, made of '
              'https://github.com/cwfid/dataset (non-commercial research)')
