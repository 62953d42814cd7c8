"""Define the names, colours and kinds of the classes of street scenes.

Names, order and palette equal the 11-class form of CamVid, as listed
in ``Scripts/test_segmentation_camvid.py`` of alexgkendall/SegNet-Tutorial.
Generated scenes and predictions for them thus look like those of CamVid.
"""
CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree',
           'sign symbol', 'fence', 'car', 'pedestrian', 'bicyclist')

PALETTE = ((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128),
           (60, 40, 222), (128, 128, 0), (192, 128, 128), (64, 64, 128),
           (64, 0, 128), (64, 64, 0), (0, 128, 192))

(SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN,
 BICYCLIST) = range(len(CLASSES))

IGNORE = 255

# classes of countable objects, each of which has its own instance id
THING_CLASSES = (POLE, TREE, SIGN, CAR, PEDESTRIAN, BICYCLIST)
