"""Format results as rows of text, for a terminal and for a page."""
from typing import Dict, List, Optional, Sequence

DASH = '-'


def case_rows(entry: Dict) -> List[Dict[str, str]]:
    """Return the cells of every setup of a case, by column."""
    return [
        dict(setup=setup['name'], sizes=setup['sizes'],
             peer=setup['peer'] or DASH,
             ours_ms=_ms(setup, 'ours_ms'), peer_ms=_ms(setup, 'peer_ms'),
             default=ratio(setup['pages'].get('default')),
             huge=ratio(setup['pages'].get('huge')),
             memory=_memory(setup.get('memory')),
             calls=_calls(setup.get('calls'), ('ours', 'peer')),
             meta=_calls(setup.get('calls'), ('meta', )),
             target=setup['target'] or DASH)
        for setup in entry['setups']]


def ratio(times: Optional[Dict]) -> str:
    """Return a text such as '5.90x [5.40, 6.40]', or why there is none."""
    if times is None:
        return DASH
    if 'refused' in times:
        return f'refused (control {times["refused"]:.2f})'
    if 'ratio' not in times:
        return DASH
    return '{}x [{}, {}]'.format(
        *(_short(times[key]) for key in ('ratio', 'low', 'high')))


def share(times: Optional[Dict]) -> str:
    """Return the share of our addition in the step, in percent."""
    if not times or 'ratio' not in times:
        return ratio(times)
    mean, high, low = (
        f'{100 * (1 - times[key]):.1f}' for key in ('ratio', 'low', 'high'))
    return f'{mean} % [{low}, {high}]'


def _short(value: float) -> str:
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def _ms(setup: Dict, key: str) -> str:
    value = setup['pages'].get('default', {}).get(key)
    return DASH if value is None else _short(value)


def _memory(memory: Optional[Dict]) -> str:
    if not memory or memory.get('ours') is None:
        return DASH
    ours, peer = memory['ours'], memory.get('peer')
    return f'{ours:,.0f}' + ('' if peer is None else f' / {peer:,.0f}')


def _calls(calls: Optional[Dict], sides: Sequence[str]) -> str:
    parts = [f'{calls[side]["calls"]:,}, {calls[side]["syncs"]:,}'
             for side in sides if side in (calls or {})]
    return ' / '.join(parts) or DASH


HEADS = dict(
    setup='setup', peer='peer', default='ratio [95 %]',
    huge='with huge pages', ours_ms='ours ms', peer_ms='peer ms',
    memory='extra MB', calls='calls, syncs', meta='on meta',
    target='target')


def text_table(results: Dict, names: List[str]) -> str:
    """Return the results of cases as an aligned table of plain text."""
    rows = [dict(HEADS, case='case')]
    for name in names:
        if name in results['cases']:
            rows += [dict(row, case=name)
                     for row in case_rows(results['cases'][name])]
    columns = ['case', *HEADS]
    widths = [max(len(row[key]) for row in rows) for key in columns]
    return '\n'.join(
        '  '.join(row[key].ljust(width) for key, width in zip(
            columns, widths)).rstrip() for row in rows)
