"""Extract the nouns of captions once, before any training.

Results are appended to `OUT.part`, from which an interrupted run continues.
The file is renamed to `OUT` when it is complete.
"""
import json
import os
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Callable, Iterator, List, Union

from mmpixsort.text.captions import (Caption, CaptionStatistics,
                                     caption_statistics, read_captions)
from mmpixsort.utils.files import only_builder, write_whole

CHUNK = 256  # number of captions that are written at once


def extract_nouns(captions: Union[str, Path],
                  out: Union[str, Path],
                  extractor,
                  *,
                  overwrite: bool = False,
                  progress: Callable[[int, int], None] = lambda *_: None
                  ) -> CaptionStatistics:
    """Write captions with their nouns as JSON lines.

    An interrupted run continues after the last complete line if the captions
    and the extractor are the same. The file is then equal to that of an
    uninterrupted run.

    Args:
        captions: Path of a file that `read_captions` accepts. Nouns in it are
            ignored.
        out: Path of the file to write, .jsonl.
        extractor: Noun extractor with `many(texts)` and `fingerprint`; see
            :func:`mmpixsort.text.noun_parsers.build_extractor`.
        overwrite: Whether to replace an existing file.
        progress: Function that is called with the number of finished
            captions and the total number.

    Returns:
        Counts of captions, images and nouns.

    Raises:
        FileExistsError: If `out` exists and `overwrite` is not set.
        ValueError: If `out` does not end in .jsonl or equals `captions`, or
            another process is writing it.
    """
    captions, out = Path(captions), Path(out)
    if out.suffix != '.jsonl' or out.resolve() == captions.resolve():
        raise ValueError('`out` must be another file than `captions` and '
                         f'end in .jsonl, got {str(out)!r}')
    if out.exists() and not overwrite:
        raise FileExistsError(f'{str(out)!r} already exists; remove it, or '
                              'use overwrite=True (--overwrite)')
    total = sum(1 for _ in read_captions(captions))  # also checks every line
    out.parent.mkdir(parents=True, exist_ok=True)
    with only_builder(out):
        part = out.with_name(f'{out.name}.part')
        done = _resume(part, _key(captions, extractor))
        progress(done, total)
        with part.open('ab') as file:
            for chunk in _chunks(islice(read_captions(captions), done, None)):
                nouns = extractor.many([caption.text for caption in chunk])
                file.write(b''.join(map(_line, chunk, nouns)))
                file.flush()
                done += len(chunk)
                progress(done, total)
            os.fsync(file.fileno())
        statistics = caption_statistics(_read_part(part))
        os.replace(part, out)
        _note(part).unlink()
        return statistics


def _key(captions: Path, extractor) -> str:
    """Return a hash of the captions and the extractor."""
    digest = sha256(extractor.fingerprint.encode())
    with captions.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _note(part: Path) -> Path:
    return part.with_name(f'{part.name}.key')


def _resume(part: Path, key: str) -> int:
    """Prepare the unfinished file, and return its number of complete lines.

    A file that belongs to other captions or another extractor is discarded.
    """
    note = _note(part)
    if not (part.exists() and note.exists() and note.read_text() == key):
        part.unlink(missing_ok=True)
        write_whole(note, key)
        part.touch()
        return 0
    done, size = 0, 0
    with part.open('r+b') as file:
        for line in file:
            if line.endswith(b'\n'):
                done, size = done + 1, size + len(line)
        file.truncate(size)
    return done


def _chunks(captions: Iterator[Caption]) -> Iterator[List[Caption]]:
    while chunk := list(islice(captions, CHUNK)):
        yield chunk


def _line(caption: Caption, nouns: List[str]) -> bytes:
    entry = dict(
        img_path=caption.img_path, caption=caption.text, nouns=list(nouns))
    return json.dumps(entry, ensure_ascii=False).encode() + b'\n'


def _read_part(part: Path) -> Iterator[Caption]:
    with part.open(encoding='utf-8') as file:
        for line in file:
            entry = json.loads(line)
            yield Caption(
                entry['img_path'], entry['caption'], tuple(entry['nouns']))
