"""Read images that hold ids, labels or masks instead of colours.

All such files of the package are read here. A palette, an alpha channel, a
second page or a lossy format could change the ids without any warning.
:func:`read_id_image` therefore either returns exactly the values that are
stored in the file, or raises an error.
"""
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Optional, Union

import cv2
import numpy as np

from mmpixsort.utils.reading import reading

FORMATS = ('PNG', 'TIFF', 'BMP', 'PPM')
EXPECTED = ('an image of ids in a format that keeps every value (PNG; TIFF '
            'of 8, 16 or 32 bits; BMP; PPM)')
MODES = ('1', 'L', 'LA', 'P', 'I', 'F', 'RGB', 'RGBA')
LOSSY_IN_TIFF = ('jpeg', 'tiff_jpeg', 'webp')
# offsets in a PNG of the bytes that hold the number of bits and the colour
# type, and the colour types with one value per pixel (grey and palette)
PNG_BITS, PNG_COLOUR_TYPE = 24, 25
PNG_ONE_VALUE = (0, 3)
# TIFF tag that tells the type of the values, and its value for signed ones
TIFF_SAMPLE_FORMAT, TIFF_SIGNED = 339, 2


class IdImage(NamedTuple):
    """Contents of an image file that holds ids, labels or a mask.

    Attributes:
        values: Values (H, W) or (H, W, 3), the latter in the order R, G, B;
            integers unless the file stores floats. They are the indices if
            the file has a palette.
        alpha: Alpha channel (H, W), 0 for transparent pixels; None if the
            file has no alpha channel.
        palette: Colours (256, 4) of the indices, uint8 R, G, B and alpha;
            None if the file has no palette.
    """

    values: np.ndarray
    alpha: Optional[np.ndarray] = None
    palette: Optional[np.ndarray] = None

    def __str__(self) -> str:
        if self.palette is not None:
            return 'indices of a palette'
        if self.alpha is None:
            return f'{self.values.dtype} of shape {self.values.shape}'
        shape = np.dstack([self.values[:1, :1], self.alpha[:1, :1]]).shape
        return (f'{self.values.dtype} of shape '
                f'{(*self.alpha.shape, *shape[2:])} with alpha')


def read_id_image(path: Union[str, Path],
                  data: Optional[bytes] = None) -> IdImage:
    """Read the values of an image of ids, labels or a mask.

    Args:
        path: Path of the file; error messages name it.
        data: Bytes of the file if the caller has read them already. None
            reads the file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not such an image, is compressed with loss
            (such as JPEG), has several pages, or holds ids of 2^31 or more.
        ImportError: If Pillow is not installed.
    """
    if data is None:
        data = Path(path).read_bytes()
    with reading(path, EXPECTED):
        if data.startswith(b'\xff\xd8\xff'):
            raise _lossy(path, 'a JPEG')
        if _is_deep(data):
            return _read_deep(data)
        return _read(path, data)


def read_mask_image(path: Union[str, Path]) -> np.ndarray:
    """Read a mask from an image file.

    A pixel is marked if it is neither black nor fully transparent, so the
    background of a drawing may be black or transparent. In a file with a
    palette, all pixels except those of index 0 are marked. Such a file is
    refused if the colours of the palette contradict this.

    Args:
        path: Path of the file.

    Returns:
        Mask (H, W), bool, True for marked pixels.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not such an image; see
            :func:`read_id_image`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'mask {str(path)!r} not found')
    image = read_id_image(path)
    marked = image.values != 0
    if image.palette is not None:
        _check_palette(path, image)
    if marked.ndim == 3:
        marked = marked.any(2)
    return marked if image.alpha is None else marked & (image.alpha > 0)


def _read(path: Union[str, Path], data: bytes) -> IdImage:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(f'reading ids from {str(path)!r} needs Pillow: '
                          'pip install mmpixsort[mim]') from error
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ValueError('Pillow does not know its format') from error
    with image:
        pages = getattr(image, 'n_frames', 1)
        if pages > 1:
            raise ValueError(
                f'{str(path)!r} must hold one image, got {pages} pages: save '
                'the page that holds the ids as a separate file')
        if image.info.get('compression') in LOSSY_IN_TIFF:
            raise _lossy(path, f'a TIFF of {image.info["compression"]}')
        if image.mode not in MODES and not image.mode.startswith('I;16'):
            raise ValueError(
                f'{str(path)!r} must hold ids in one channel, or as R + 256 '
                f'G + 65536 B, got the colour mode {image.mode}; write one '
                'channel as a PNG')
        if image.mode == 'P':
            return _indices(image)
        # black and white become 0 and 255, as in images of 8 bits
        values = np.asarray(image.convert('L') if image.mode == '1' else image)
        values = _signed(path, values, image)
        return _split(values, image.info.get('transparency'))


def _signed(path: Union[str, Path], values: np.ndarray,
            image) -> np.ndarray:
    """Return the values of a TIFF with the sign that the file states.

    Pillow reads 8 bits as unsigned and 32 bits as signed integers, whatever
    the file states.

    Raises:
        ValueError: If the file holds unsigned ids of 2^31 or more.
    """
    if image.format != 'TIFF':
        return values
    if image.tag_v2.get(TIFF_SAMPLE_FORMAT, (1, ))[0] == TIFF_SIGNED:
        return values.view(np.int8) if values.dtype == np.uint8 else values
    if values.dtype == np.int32 and values.size and values.min() < 0:
        raise ValueError(f'{str(path)!r} must hold ids below 2^31, got larger '
                         'ones; number them anew')
    return values


def _indices(image) -> IdImage:
    colours = np.zeros((256, 4), np.uint8)
    known = np.reshape(image.getpalette('RGBA'), (-1, 4))
    colours[:len(known)] = known
    return IdImage(np.asarray(image), palette=colours)


def _split(values: np.ndarray, invisible) -> IdImage:
    """Separate the alpha channel of an image from its values.

    Args:
        values: Values (H, W) or (H, W, channels).
        invisible: Value or colour that the PNG declares as transparent; None
            if it declares none.
    """
    if values.ndim == 3 and values.shape[2] in (2, 4):
        colours = values[..., 0] if values.shape[2] == 2 else values[..., :3]
        return IdImage(colours, alpha=values[..., -1])
    if invisible is None:
        return IdImage(values)
    seen = values != np.array(invisible)
    if seen.ndim == 3:
        seen = seen.any(2)
    return IdImage(values, alpha=seen.astype(np.uint8) * 255)


def _is_deep(data: bytes) -> bool:
    """Return whether a file is a PNG with several channels of 16 bits."""
    return (data.startswith(b'\x89PNG') and len(data) > PNG_COLOUR_TYPE
            and data[PNG_BITS] == 16
            and data[PNG_COLOUR_TYPE] not in PNG_ONE_VALUE)


def _read_deep(data: bytes) -> IdImage:
    """Read a PNG with OpenCV, since Pillow would cut it to 8 bits."""
    values = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError('OpenCV cannot decode it')
    if values.shape[2] == 4:
        values = values[..., [2, 1, 0, 3]]
    else:
        values = values[..., ::-1]
    return _split(values, None)


def _check_palette(path: Union[str, Path], image: IdImage) -> None:
    """Raise ValueError if colours mark other pixels than indices do."""
    used = np.unique(image.values)
    colours = image.palette[used]
    drawn = colours[:, :3].any(1) & (colours[:, 3] > 0)
    if drawn.any() and not drawn.all() and (drawn != (used != 0)).any():
        raise ValueError(
            f'mask {str(path)!r} must have a palette in which, of all used '
            'indices, only index 0 is black or transparent, got '
            f'{ {int(k): tuple(c.tolist()) for k, c in zip(used, colours)} }: '
            'save it as a grey image with 0 at unmarked pixels')


def _lossy(path: Union[str, Path], kind: str) -> ValueError:
    return ValueError(
        f'{str(path)!r} must be {EXPECTED}, got {kind}, which is lossy and '
        'changes ids: write the original as a PNG')
