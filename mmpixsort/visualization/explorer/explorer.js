'use strict';
(() => {
  const byId = id => document.getElementById(id);
  const parts = Object.fromEntries(['view', 'image', 'marks', 'pointed',
    'strength', 'scale', 'classes', 'list', 'detail-title', 'detail-body',
    'status'].map(id => [id, byId(id)]));
  const LAYERS = ['label', 'segment', 'embedding', 'confidence'];
  const filter = new Set();  // class indices; empty shows all
  let content, ids, centres, bySegment, chosen = null;

  // Make an element. Texts are always set as text, never as HTML.
  function make(tag, values = {}, children = []) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(values)) {
      if (key === 'text') node.textContent = value;
      else if (key === 'class') node.className = value;
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  const className = label => content.classes[label].name;
  const colourOf = label => `rgb(${content.classes[label].colour.join(',')})`;
  const percent = share =>
    `${(100 * share).toFixed(share < .1 ? 1 : 0)} %`;

  function chip(label) {
    const node = make('span', {class: 'chip', 'aria-hidden': 'true'});
    node.style.background = colourOf(label);
    return node;
  }

  function named(label) {
    return make('span', {}, [
      chip(label), make('span', {class: 'name', text: className(label)})]);
  }

  const shows = segment => !filter.size || filter.has(segment.label);
  const visible = () => content.segments.filter(shows);

  // Read the page's content: unpack the runs, find centres.
  function read(given) {
    content = given;
    const {width, height, runs} = content;
    ids = new Int32Array(width * height);
    for (let i = 0, at = 0; i < runs.length; at += runs[i], i += 2) {
      ids.fill(runs[i + 1], at, at + runs[i]);
    }
    bySegment = new Map(
      content.segments.map((segment, rank) => [segment.number,
        {...segment, rank}]));
    content.segments = [...bySegment.values()];
    const sums = new Map();
    for (let at = 0; at < ids.length; at++) {
      const sum = sums.get(ids[at]) || [0, 0, 0];
      sum[0] += at % width;
      sum[1] += Math.floor(at / width);
      sum[2] += 1;
      sums.set(ids[at], sum);
    }
    centres = new Map([...sums].map(([id, [x, y, n]]) => [id, [x / n, y / n]]));
  }

  function drawPictures() {
    parts.image.src = content.pictures.image;
    parts.image.width = parts.marks.width = content.width;
    parts.image.height = parts.marks.height = content.height;
    for (const name of LAYERS) {
      byId(`layer-${name}`).src = content.pictures[name];
    }
    drawLayers();
  }

  function drawLayers() {
    for (const box of document.querySelectorAll('[data-layer]')) {
      const name = box.dataset.layer, node = byId(`layer-${name}`);
      node.hidden = !box.checked;
      node.style.opacity = parts.strength.value / 100;
      if (name === 'confidence') parts.scale.hidden = !box.checked;
    }
  }

  // Darken what the filter hides, and outline the chosen segment.
  function drawMarks() {
    const {width, height} = content;
    const context = parts.marks.getContext('2d');
    const picture = context.createImageData(width, height);
    const hidden = id => filter.size && !filter.has(content.labels[id]);
    const dark = new Map([...centres.keys()].map(id => [id, hidden(id)]));
    const reach = Math.max(2, Math.round(width / 300));
    const pixels = new Uint32Array(picture.data.buffer);
    const colour = (...rgba) =>
      new Uint32Array(new Uint8ClampedArray(rgba).buffer)[0];
    const shade = colour(0, 0, 0, 170);
    for (let at = 0; filter.size && at < ids.length; at++) {
      if (dark.get(ids[at])) pixels[at] = shade;
    }
    const edge = at => {
      const x = at % width;
      return (x > 0 && ids[at - 1] !== chosen) ||
        (x < width - 1 && ids[at + 1] !== chosen) ||
        (at >= width && ids[at - width] !== chosen) ||
        (at < ids.length - width && ids[at + width] !== chosen) ||
        x === 0 || x === width - 1 || at < width ||
        at >= ids.length - width;
    };
    const spots = [];
    for (let at = 0; chosen !== null && at < ids.length; at++) {
      if (ids[at] === chosen && edge(at)) spots.push(at);
    }
    for (const [grow, value] of [
      [reach + 1, colour(0, 0, 0, 255)], [reach, colour(255, 230, 0, 255)]]) {
      for (const at of spots) {
        const x0 = at % width, y0 = Math.floor(at / width);
        for (let y = Math.max(0, y0 - grow + 1);
          y < Math.min(height, y0 + grow); y++) {
          for (let x = Math.max(0, x0 - grow + 1);
            x < Math.min(width, x0 + grow); x++) {
            pixels[y * width + x] = value;
          }
        }
      }
    }
    context.putImageData(picture, 0, 0);
  }

  function drawClasses() {
    const counts = new Map();
    for (const {label} of content.segments) {
      counts.set(label, (counts.get(label) || 0) + 1);
    }
    for (const label of filter) if (!counts.has(label)) filter.delete(label);
    const focused = document.activeElement?.dataset?.label;
    const all = make('button', {type: 'button', 'data-label': 'all',
      'aria-pressed': String(!filter.size), text: 'All classes'});
    all.addEventListener('click', () => { filter.clear(); filtered(); });
    const buttons = [...counts].sort((a, b) => b[1] - a[1]).map(
      ([label, count]) => {
        const button = make('button', {type: 'button', 'data-label': label,
          'aria-pressed': String(filter.has(label))},
        [named(label), ` (${count})`]);
        button.addEventListener('click', () => {
          if (!filter.delete(label)) filter.add(label);
          filtered();
        });
        return button;
      });
    parts.classes.replaceChildren(all, ...buttons);
    [all, ...buttons].find(
      node => node.dataset.label === focused)?.focus();
  }

  function drawList() {
    const shown = visible();
    parts.list.replaceChildren(...shown.map(segment => {
      const item = make('li', {role: 'option', id: `s${segment.number}`,
        'aria-selected': String(segment.number === chosen)}, [
        `${segment.rank + 1}. `, named(segment.label),
        make('span', {class: 'quiet', text:
          `, ${segment.vote}, ${percent(segment.share)}`})]);
      item.addEventListener('click', () => choose(segment.number));
      return item;
    }));
    byId('list-title').textContent = `Segments (${shown.length})`;
    const current = byId(`s${chosen}`);
    if (current) {
      parts.list.setAttribute('aria-activedescendant', current.id);
      const top = current.offsetTop - parts.list.offsetTop;
      if (top < parts.list.scrollTop || top + current.offsetHeight >
          parts.list.scrollTop + parts.list.clientHeight) {
        parts.list.scrollTop = top - parts.list.clientHeight / 2;
      }
    } else parts.list.removeAttribute('aria-activedescendant');
  }

  function filtered() {
    drawClasses();
    drawList();
    drawMarks();
    say(`${visible().length} segments shown`);
  }

  const say = text => { parts.status.textContent = text; };

  function choose(number) {
    chosen = number;
    drawMarks();
    drawList();
    drawDetail();
    const segment = bySegment.get(number);
    say(segment ? `Segment ${segment.rank + 1}, ` +
      `${className(segment.label)}, ${segment.vote} votes. Nearest: ` +
      segment.near.map(near => `${className(near.label)} ` +
        near.similarity.toFixed(3)).join(', ') :
      'A small segment without neighbours on this page');
  }

  function drawDetail() {
    const segment = bySegment.get(chosen);
    const title = parts['detail-title'], body = parts['detail-body'];
    if (!segment) {
      title.textContent = chosen === null ? 'No segment chosen' :
        'A small segment';
      body.replaceChildren(make('p', {text: chosen === null ?
        'Choose a segment of the image or of the list.' :
        `This page has the neighbours of the ${content.segments.length} ` +
        'largest segments only, and this one is smaller. The option ' +
        '--max-segments includes more.'}));
      return;
    }
    title.replaceChildren(`Segment ${segment.rank + 1}: `,
      named(segment.label));
    const total = segment.votes.reduce((sum, [, count]) => sum + count, 0);
    body.replaceChildren(
      make('div', {class: 'chosen'}, [
        make('img', {class: 'crop', src: segment.crop, alt:
          'The segment, outlined in yellow'}),
        make('div', {}, [
          make('p', {text: `Votes: ${segment.vote}. Area: ` +
            `${percent(segment.share)} of the image.`}),
          make('ul', {class: 'votes', 'aria-label': 'Votes by class'},
            segment.votes.map(vote => voteItem(vote, total)))])]),
      make('h3', {text: `Nearest annotated segments (${segment.near.length}` +
        ` of ${total} that voted)`}),
      ...relabelForm(segment),
      make('ol', {class: 'cards'}, segment.near.map(
        near => card(near, segment))));
  }

  function voteItem([label, count], total) {
    const bar = make('span', {class: 'bar', 'aria-hidden': 'true'});
    bar.style.width = `${100 * count / total}%`;
    bar.style.background = colourOf(label);
    return make('li', {}, [named(label), `: ${count}`, bar]);
  }

  function card(near, segment) {
    const agrees = near.label === segment.label;
    const lines = [
      make('div', {}, [make('strong', {}, [named(near.label)])]),
      make('div', {text: `similarity ${near.similarity.toFixed(3)}`}),
      make('div', {text: agrees ? 'voted for the label' :
        'voted for another class'}),
      make('div', {class: 'quiet'}, [
        make('span', {class: 'name', text: near.source}),
        `, row ${near.row}`])];
    if (content.server) {
      lines.push(make('label', {}, [make('input', {type: 'checkbox',
        name: 'row', value: near.row, form: 'relabel'}), 'relabel this']));
    }
    return make('li', {}, [make('figure', {}, [
      make('img', {class: 'crop', src: content.crops[near.row], alt:
        `Annotated segment of class ${className(near.label)}, outlined ` +
        'in yellow'}),
      make('figcaption', {}, lines)])]);
  }

  // A page from the local server can change classes in its bank.
  function relabelForm(segment) {
    if (!content.server) return [];
    const input = make('input', {type: 'text', id: 'new-class',
      list: 'known', required: '', autocomplete: 'off'});
    const form = make('form', {id: 'relabel'}, [
      make('label', {for: 'new-class', text: 'New class:'}), input,
      make('datalist', {id: 'known'}, content.classes.map(
        ({name}) => make('option', {value: name}))),
      make('button', {type: 'submit', text: 'Relabel the ticked segments'})]);
    form.addEventListener('submit', event => {
      event.preventDefault();
      const rows = [...document.querySelectorAll('[name=row]:checked')].map(
        box => Number(box.value));
      if (!rows.length) return say('Tick at least one annotated segment');
      relabel(rows, input.value.trim(), form);
    });
    return [form];
  }

  async function relabel(rows, name, form) {
    const button = form.querySelector('button');
    button.disabled = true;
    say('The bank is being changed');
    try {
      const answer = await fetch('/relabel', {method: 'POST', headers: {
        'Content-Type': 'application/json',
        'X-Token': content.server.token},
      body: JSON.stringify({image: content.server.image, rows, name})});
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      start(found);
      say(`${rows.length} annotated segments are ${name} now. ` +
        parts['detail-title'].textContent);
      parts.view.focus({preventScroll: true});
    } catch (error) {
      const text = `Nothing was changed: ${error.message}`;
      form.querySelector('.warning')?.remove();
      form.append(make('p', {class: 'warning', text}));
      say(text);
      button.disabled = false;
    }
  }

  function idAt(event) {
    const frame = parts.image.getBoundingClientRect();
    const x = Math.floor((event.clientX - frame.left) / frame.width *
      content.width);
    const y = Math.floor((event.clientY - frame.top) / frame.height *
      content.height);
    const inside = x >= 0 && y >= 0 && x < content.width &&
      y < content.height;
    return inside ? ids[y * content.width + x] : null;
  }

  function describe(id) {
    const segment = bySegment.get(id);
    return segment ? `${segment.rank + 1}. ${className(segment.label)}, ` +
      segment.vote : `${className(content.labels[id])}, a small segment`;
  }

  const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
    ArrowDown: [0, 1]};

  // Return the segment in a direction: near, and little to the side.
  function inDirection([dx, dy]) {
    const [x0, y0] = centres.get(chosen);
    let best = null, least = Infinity;
    for (const {number} of visible()) {
      if (number === chosen || !centres.has(number)) continue;
      const [x, y] = centres.get(number);
      const along = (x - x0) * dx + (y - y0) * dy;
      const aside = Math.abs((x - x0) * dy) + Math.abs((y - y0) * dx);
      const cost = along + 2 * aside;
      if (along > 0 && aside <= along && cost < least) {
        best = number;
        least = cost;
      }
    }
    return best;
  }

  function keyOnView(event) {
    if (event.key in MOVES) {
      const next = chosen === null || !centres.has(chosen) ?
        visible()[0]?.number : inDirection(MOVES[event.key]);
      if (next !== null && next !== undefined) choose(next);
      event.preventDefault();
    } else if (event.key === 'Home' && visible().length) {
      choose(visible()[0].number);
      event.preventDefault();
    }
  }

  function keyOnList(event) {
    const shown = visible();
    const at = shown.findIndex(({number}) => number === chosen);
    let next = {ArrowDown: at + 1, ArrowUp: Math.max(at, 1) - 1, Home: 0,
      End: shown.length - 1}[event.key];
    if (next === undefined && event.key.length === 1 && event.key !== ' ' &&
        !event.ctrlKey && !event.metaKey && !event.altKey) {
      const letter = event.key.toLowerCase();
      const order = [...shown.keys()].map(
        i => (Math.max(at, -1) + 1 + i) % shown.length);
      next = order.find(i => className(shown[i].label).toLowerCase()
        .startsWith(letter));
    }
    if (next === undefined) return;
    if (shown[next]) choose(shown[next].number);
    event.preventDefault();
  }

  function start(given) {
    read(given);
    if (chosen === null && content.segments.length) {
      chosen = content.segments[0].number;
    }
    drawPictures();
    drawClasses();
    drawList();
    drawDetail();
    drawMarks();
  }

  parts.view.addEventListener('click', event => {
    const id = idAt(event);
    if (id !== null) choose(id);
  });
  parts.view.addEventListener('mousemove', event => {
    const id = idAt(event);
    parts.pointed.textContent = id === null ? '\u00a0' : describe(id);
  });
  parts.view.addEventListener('mouseleave', () => {
    parts.pointed.textContent = '\u00a0';
  });
  parts.view.addEventListener('keydown', keyOnView);
  parts.list.addEventListener('keydown', keyOnList);
  parts.strength.addEventListener('input', drawLayers);
  for (const box of document.querySelectorAll('[data-layer]')) {
    box.addEventListener('change', drawLayers);
  }
  // On a narrow screen the neighbours come right below the image.
  byId('options').open = window.innerWidth > 640;
  start(JSON.parse(byId('content').textContent));
})();
