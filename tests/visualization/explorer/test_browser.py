"""The explorer page in a real browser without a window."""
import pytest
from browsers import chromium
from visualization.explorer.explained_images import NASTY, small_image

from mmpixsort.visualization.explorer.explained import page_content
from mmpixsort.visualization.explorer.page import explorer_page


@pytest.fixture(scope='module')
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser, tmp_path):
    """Open a page of an image; no request and no error may occur."""
    opened, faults = [], []

    def show(explained, width=1280):
        file = tmp_path / 'page.html'
        file.write_text(explorer_page(page_content(explained)))
        page = browser.new_page(viewport=dict(width=width, height=800))
        page.on('pageerror', lambda error: faults.append(str(error)))
        page.on('console', lambda message: faults.append(message.text)
                if message.type == 'error' else None)
        page.on('request', lambda request: faults.append(request.url)
                if not request.url.startswith(('file:', 'data:')) else None)
        page.goto(file.as_uri())
        opened.append(page)
        return page

    yield show
    for page in opened:
        page.close()
    assert not faults


def title(page):
    return page.inner_text('#detail-title')


def test_click__shows_the_neighbours_of_a_segment(open_page):
    page = open_page(small_image())
    assert title(page) == 'Segment 1: road'
    box = page.locator('#view').bounding_box()
    page.mouse.click(box['x'] + .75 * box['width'],
                     box['y'] + .25 * box['height'])
    assert title(page) == 'Segment 2: sky'
    cards = page.locator('.cards figcaption').all_inner_texts()
    assert 'road' in cards[0] and 'similarity 0.950' in cards[0]
    assert 'another class' in cards[0] and 'b.png, row 9' in cards[1]
    assert page.evaluate('[...document.images].every(i => i.complete && '
                         '(i.naturalWidth > 0))')
    # yellow outline on the border of the quadrant, none elsewhere
    yellow = page.evaluate('''() => {
        const c = document.getElementById('marks');
        const at = (x, y) => [...c.getContext('2d').getImageData(
            x, y, 1, 1).data];
        return [at(30, 5), at(10, 30), at(45, 10)]; }''')
    assert yellow == [[255, 230, 0, 255], [0] * 4, [0] * 4]


def test_click__on_a_small_segment_says_why_it_shows_nothing(open_page):
    page = open_page(small_image())
    box = page.locator('#view').bounding_box()
    page.mouse.click(box['x'] + .75 * box['width'],
                     box['y'] + .75 * box['height'])
    assert '3 largest segments only' in page.inner_text('#detail-body')


def test_keyboard__walks_over_the_image_and_the_list(open_page):
    page = open_page(small_image())
    page.focus('#view')
    page.keyboard.press('ArrowRight')
    assert title(page) == 'Segment 2: sky'
    page.keyboard.press('ArrowLeft')
    page.keyboard.press('ArrowDown')
    assert title(page) == 'Segment 3: road'
    assert 'Segment 3, road, 1/2 votes' in page.inner_text('#status')
    page.focus('#list')
    page.keyboard.press('Home')
    page.keyboard.press('s')
    assert title(page) == 'Segment 2: sky'
    active = page.get_attribute('#list', 'aria-activedescendant')
    assert page.get_attribute(f'#{active}', 'aria-selected') == 'true'
    page.keyboard.press('End')
    page.keyboard.press('ArrowDown')  # there is none below
    assert title(page) == 'Segment 3: road'


def test_keyboard__tab_reaches_everything(open_page):
    page = open_page(small_image())
    reached = []
    for _ in range(12):
        page.keyboard.press('Tab')
        reached.append(page.evaluate(
            '(e => e.id || e.dataset.layer || e.dataset.label || e.tagName)'
            '(document.activeElement)'))
    for name in ('view', 'label', 'segment', 'embedding', 'confidence',
                 'strength', 'all', 'list'):
        assert name in reached
    page.focus('[data-layer=label]')
    page.keyboard.press('Space')
    assert page.is_visible('#layer-label')


def test_layers__are_switched(open_page):
    page = open_page(small_image())
    for name in ('label', 'embedding', 'confidence', 'segment'):
        before = page.is_visible(f'#layer-{name}')
        page.click(f'[data-layer={name}]')
        assert page.is_visible(f'#layer-{name}') != before
    assert page.is_visible('#scale')


def test_filter__keeps_the_segments_of_a_class(open_page):
    page = open_page(small_image())
    button = page.get_by_role('button', name='sky (1)')
    button.click()
    assert page.locator('#list li').count() == 1
    button = page.get_by_role('button', name='sky (1)')
    assert button.get_attribute('aria-pressed') == 'true'
    shade = page.evaluate(
        'document.getElementById("marks").getContext("2d").getImageData('
        '10, 30, 1, 1).data[3]')
    assert shade == 170
    page.get_by_role('button', name='All classes').click()
    assert page.locator('#list li').count() == 3


def test_names__are_never_read_as_html(open_page):
    page = open_page(small_image(NASTY, (NASTY, 'sky', '<img src=x>')))
    assert page.title() == f'Why {NASTY} was labelled so'
    assert title(page) == f'Segment 1: {NASTY}'
    assert page.locator('img[src=x]').count() == 0


def test_roles__of_what_a_screen_reader_reads(open_page):
    page = open_page(small_image())
    assert page.get_by_role('listbox', name='Segments').count() == 1
    assert page.get_by_role('option').count() == 3
    assert page.get_by_role('heading', level=1).count() == 1
    assert page.get_by_role('group', name='Layers').count() == 1
    assert page.locator('.cards img:not([alt])').count() == 0
    assert page.get_attribute('#status', 'role') == 'status'


@pytest.mark.parametrize('width', [320, 390, 800])
def test_page__fits_narrow_screens(open_page, width):
    page = open_page(small_image('n' * 300), width=width)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
