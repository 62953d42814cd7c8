"""Convert the .mat files of the Semantic Boundaries Dataset to PNGs.

The tool writes OUT/SegmentationClass and OUT/SegmentationObject, which
`mmpixsort.VOCPanopticDataset` reads beside JPEGImages. Existing files are
skipped, so an interrupted run continues. It needs scipy
(pip install mmpixsort[metrics]).

Example:
    python tools/dataset_converters/sbd_masks.py benchmark_RELEASE/dataset \\
        data/sbd
"""
import argparse
import sys
from pathlib import Path

import numpy as np

from mmpixsort.utils.command import errors_as_text
from mmpixsort.utils.files import write_image
from mmpixsort.utils.progress import tracked
from mmpixsort.utils.reading import reading

# for each folder of the release: the struct in its files, the output folder
PARTS = dict(cls=('GTcls', 'SegmentationClass'),
             inst=('GTinst', 'SegmentationObject'))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'dataset', type=Path, help='folder that contains `cls` and `inst`')
    parser.add_argument('out', type=Path, help='folder to write PNGs to')
    return parser.parse_args()


def read_map(path: Path, struct: str) -> np.ndarray:
    """Return the labels (H, W) of a file, as uint8.

    Raises:
        ValueError: If it is not a file of SBD, or a label is out of range.
    """
    from scipy.io import loadmat
    with reading(path, 'a file of SBD'):
        content = loadmat(path, squeeze_me=True, struct_as_record=False)
    if struct not in content:
        raise ValueError(f'{path} must hold `{struct}`, got '
                         f'{[k for k in content if k[0] != "_"]}')
    labels = np.asarray(content[struct].Segmentation)
    if labels.ndim != 2 or labels.min() < 0 or labels.max() > 255:
        raise ValueError(f'{path} must hold a map (H, W) of 0 .. 255, got '
                         f'{labels.dtype} of shape {labels.shape}')
    return labels.astype(np.uint8)


def convert(dataset: Path, out: Path) -> None:
    """Write the PNGs of all files."""
    for folder, (struct, target) in PARTS.items():
        paths = sorted((dataset / folder).glob('*.mat'))
        if not paths:
            raise FileNotFoundError(f'no .mat file in {dataset / folder}')
        (out / target).mkdir(parents=True, exist_ok=True)
        written = 0
        for path in tracked(paths, folder, unit='maps'):
            png = out / target / f'{path.stem}.png'
            if png.exists():
                continue
            write_image(png, read_map(path, struct))
            written += 1
        print(f'{written} maps written, {len(paths) - written} existed, '
              f'in {out / target}')


def main() -> None:
    args = parse_args()
    try:
        import scipy  # noqa: F401
    except ImportError:
        sys.exit('error: scipy is missing: pip install mmpixsort[metrics]')
    with errors_as_text():
        convert(args.dataset, args.out)


if __name__ == '__main__':
    main()
