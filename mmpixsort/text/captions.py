"""Read captions of images, with the nouns that were extracted from them.

The ending of the file name selects the format:

- `.jsonl`: one JSON object per line with `img_path`, `caption` and, once they
  are extracted, `nouns`;
- `.csv`, `.tsv`: a table with these columns, where nouns are separated by
  `;`. Values of a `.csv` may be quoted with `"` and then contain commas and
  line breaks; a `.tsv` has no quoting, so each line is a row;
- `.json`: the captions of COCO.

An image may have several captions; each of them is a separate entry.
"""
import csv
import json
from collections import Counter
from pathlib import Path
from typing import (Callable, Dict, Iterable, Iterator, List, NamedTuple,
                    Optional, Sequence, Tuple, Union)

from mmpixsort.utils.reading import check_entry, read_json, reading

from .nouns import fold_text

ENDINGS = ('.jsonl', '.csv', '.tsv', '.json')


class Caption(NamedTuple):
    """A caption of an image.

    Attributes:
        img_path: Path of the image, as written in the file.
        text: Text of the caption, unchanged.
        nouns: Distinct nouns of the caption in canonical spelling (see
            :func:`.nouns.fold_text`); None if they have not been extracted
            yet.
    """

    img_path: str
    text: str
    nouns: Optional[Tuple[str, ...]] = None


class CaptionStatistics(NamedTuple):
    """Counts of images, captions and nouns.

    Attributes:
        num_images: Number of images.
        num_captions: Number of captions.
        num_without_nouns: Number of captions without a noun.
        counts: Number of captions that contain each noun, the most frequent
            noun first; nouns of equal counts are in alphabetical order.
    """

    num_images: int
    num_captions: int
    num_without_nouns: int
    counts: Dict[str, int]

    def __str__(self) -> str:
        share = self.num_without_nouns / max(self.num_captions, 1)
        common = ', '.join(
            f'{noun} {count}' for noun, count in list(self.counts.items())[:5])
        return (f'{self.num_captions} captions of {self.num_images} images, '
                f'{sum(self.counts.values())} nouns of {len(self.counts)} '
                f'kinds ({common or "none"}), {share:.1%} of the captions '
                'without any')


def read_captions(path: Union[str, Path]) -> Iterator[Caption]:
    """Yield the captions of a file in their order.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the ending is unknown, a path or a caption is missing,
            or a row does not fit the header. The message names the line.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'captions.csv'
        >>> _ = path.write_text('img_path,caption,nouns\\na.jpg,A cat,cat')
        >>> list(read_captions(path))
        [Caption(img_path='a.jpg', text='A cat', nouns=('cat',))]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'captions {str(path)!r} not found')
    if path.suffix not in ENDINGS:
        raise ValueError('the file of captions must end in one of '
                         f'{", ".join(ENDINGS)}, got {str(path)!r}')
    return _guarded(path)


def _guarded(path: Path) -> Iterator[Caption]:
    read = dict([('.json', _read_coco), ('.jsonl', _read_lines)]).get(
        path.suffix, _read_table)
    with reading(path, 'captions'):
        yield from read(path)


def _read_lines(path: Path) -> Iterator[Caption]:
    with path.open(encoding='utf-8-sig') as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise ValueError(f'{path}:{number}: expected a JSON object, '
                                 f'got {line.strip()[:60]!r}') from error
            yield _caption(entry, f'{path}:{number}')


def _read_table(path: Path) -> Iterator[Caption]:
    rows = _rows(path)
    where, header = next(rows, ('', []))
    if len(set(header)) < len(header):
        raise ValueError(f'{where}: expected each column once, got {header}')
    for where, row in rows:
        entry = dict(zip(header, row))
        if 'nouns' in entry:
            entry['nouns'] = [
                noun for noun in entry['nouns'].split(';') if noun.strip()]
        caption = _caption(entry, where)
        if len(row) != len(header):
            raise ValueError(
                f'{where}: expected {len(header)} values '
                f'({", ".join(header)}), got {len(row)}: {row}; in a .csv, '
                'quote values that contain a comma; a .tsv has no quoting')
        yield caption


def _rows(path: Path) -> Iterator[Tuple[str, List[str]]]:
    """Yield `path:line`, for error messages, and the values of each row."""
    style = (dict(delimiter='\t', quoting=csv.QUOTE_NONE)
             if path.suffix == '.tsv' else dict(strict=True))
    with path.open(encoding='utf-8-sig', newline='') as file:
        table = csv.reader(file, **style)
        while True:
            where = f'{path}:{table.line_num + 1}'
            try:
                row = next(table, None)
            except csv.Error as error:
                raise ValueError(f'{where}: expected a row of a table, got '
                                 f'text that cannot be parsed ({error})'
                                 ) from error
            if row is None:
                return
            if row:
                yield where, row


def _read_coco(path: Path) -> Iterator[Caption]:
    content = read_json(path, 'captions of COCO')
    if not isinstance(content, dict) or not {
            'images', 'annotations'} <= content.keys():
        raise ValueError(f'{path}: expected captions of COCO, an object with '
                         '`images` and `annotations`; a file of JSON lines '
                         'must end in .jsonl')
    for part, keys in (('images', ('id', 'file_name')),
                       ('annotations', ('image_id', ))):
        for entry in content[part]:
            check_entry(entry, keys, f'each of the {part} of {str(path)!r}')
    names = {image['id']: image['file_name'] for image in content['images']}
    # The file is not sorted by image. Sorting it puts the captions of an
    # image next to each other.
    for entry in sorted(content['annotations'],
                        key=lambda e: (e['image_id'], e.get('id', 0))):
        where = f'{path}: annotation {entry.get("id")}'
        if entry['image_id'] not in names:
            raise ValueError(f'{where}: expected an `image_id` of `images`, '
                             f'got {entry["image_id"]}')
        yield _caption(
            dict(entry, img_path=names[entry['image_id']]), where)


def _caption(entry: dict, where: str) -> Caption:
    """Check an entry that was read in any format, and return its caption."""
    for key in ('img_path', 'caption'):
        if not isinstance(entry, dict) or not isinstance(
                entry.get(key), str) or (key == 'img_path'
                                         and not entry[key]):
            found = sorted(map(str, entry)) if isinstance(
                entry, dict) else entry
            raise ValueError(f'{where}: expected a string `{key}`, got '
                             f'{found}')
    if '://' in entry['img_path']:
        raise ValueError(f'{where}: `img_path` must be the path of a file, '
                         'because images are never downloaded, got '
                         f'{entry["img_path"]!r}')
    nouns = entry.get('nouns')
    if nouns is not None:
        if not isinstance(nouns, list) or not all(
                isinstance(noun, str) for noun in nouns):
            raise ValueError(f'{where}: expected a list of strings `nouns`, '
                             f'got {nouns!r}')
        nouns = unique_nouns(nouns)
    return Caption(entry['img_path'], entry['caption'], nouns)


def unique_nouns(nouns: Iterable[str]) -> Tuple[str, ...]:
    """Return the distinct nouns in canonical spelling, in order."""
    return tuple(dict.fromkeys(filter(None, map(fold_text, nouns))))


def with_nouns(captions: Iterable[Caption],
               extract: Callable[[str], Sequence[str]]) -> Iterator[Caption]:
    """Yield the captions, and extract nouns for those that lack them."""
    for caption in captions:
        if caption.nouns is None:
            caption = caption._replace(nouns=tuple(extract(caption.text)))
        yield caption


def group_by_image(captions: Iterable[Caption]) -> Dict[str, List[Caption]]:
    """Return the captions of each image, in order of first appearance."""
    groups: Dict[str, List[Caption]] = {}
    for caption in captions:
        groups.setdefault(caption.img_path, []).append(caption)
    return groups


def caption_statistics(captions: Iterable[Caption]) -> CaptionStatistics:
    """Count the images, captions and nouns of a set of captions."""
    images, counts, total, without = set(), Counter(), 0, 0
    for caption in captions:
        images.add(caption.img_path)
        counts.update(caption.nouns or ())
        total += 1
        without += not caption.nouns
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return CaptionStatistics(len(images), total, without, dict(ordered))
