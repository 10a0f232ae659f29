/**
 * The script of the page: shows a kernel when its link is followed, sorts and filters the table, and tips over the plots.
 *
 * It runs in a browser only, so it is text here. Invariant: what it shows is set as text, never as HTML.
 */
export const SCRIPT = String.raw`
'use strict';
const data = JSON.parse(document.getElementById('data').textContent), value = (i) => data.values[i], { neighbours } = data;
const kernels = data.kernels.map(([name, path, shared, ...ports]) => ({ name, path: value(path), ...value(shared), own: ports }));
const sheet = document.getElementById('kernel'), tip = document.getElementById('tip');

const el = (name, properties, ...children) => {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children.filter((child) => child !== undefined));
  return node;
};
const link = (k) => el('a', { href: '#k' + k, className: 'kernel', textContent: 'k' + k });
const links = (ks) => ks.flatMap((k, i) => (i === 0 ? [link(k)] : [', ', link(k)]));

// words of WGSL and of the models, coloured lightly
const WORDS = /(\/\/.*$)|\b(fn|let|var|const|for|if|else|return|struct|enable|requires|while|loop|break|continue|export|import)\b|\b(f32|f16|i32|u32|bool|vec[234]|mat\d\w*|array|atomic|storage|workgroup|read|read_write|function|private)\b|\b(\d[\w.]*)\b|(@\w+)/gm;
const CLASSES = ['t-c', 't-k', 't-t', 't-n', 't-k'];
const coloured = (text) => {
  const out = el('code', {});
  let from = 0;
  for (const match of text.matchAll(WORDS)) {
    out.append(text.slice(from, match.index), el('span', { className: CLASSES[match.slice(1).findIndex((part) => part !== undefined)], textContent: match[0] }));
    from = match.index + match[0].length;
  }
  out.append(text.slice(from));
  return out;
};
const pre = (text) => el('pre', {}, coloured(text));

const portRow = ([{ variable, written, kind, type, bytes }, [name, ...producers]]) => el('tr', {},
  el('td', {}, el('code', { textContent: variable })), el('td', { textContent: written ? 'writes' : 'reads' }), el('td', { textContent: kind === 'tensor' ? name : kind + ' ' + name }),
  el('td', {}, el('code', { textContent: type })), el('td', { className: 'num', textContent: bytes }), el('td', {}, ...(written ? [] : links(producers))));
const table = (heads, rows) => el('table', {}, el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { textContent: head })))), el('tbody', {}, ...rows));

const neighbourItem = (k) => ([producer, consumer, type, reason, bytes]) => el('li', {},
  link(producer === k ? consumer : producer), (producer === k ? ' reads what this kernel writes, ' : ' writes what this kernel reads, '), el('code', { textContent: value(type) }),
  el('div', { className: 'why', textContent: 'Kept apart because ' + value(reason) + '.' + (bytes === 0 ? '' : ' It costs ' + value(bytes) + '.') }));

const sourceItem = ({ at, text, ops }) => el('div', { className: 'source' },
  el('div', { className: 'at', textContent: at + (ops === '' ? '' : '  makes ' + ops) }), text === '' ? undefined : pre(text));

// many neighbours of a tensor that all blocks read are listed short
const MOST = 8;
const neighbourList = (k, pairs) => {
  const shown = pairs.slice(0, MOST).map(neighbourItem(k)), rest = pairs.slice(MOST);
  return el('ul', {}, ...shown, ...(rest.length === 0 ? [] : [el('li', {}, 'and ' + rest.length + ' more: ', ...links(rest.map(([producer, consumer]) => (producer === k ? consumer : producer))))]));
};

const show = (k) => {
  const kernel = kernels[k];
  const before = neighbours.filter(([, consumer]) => consumer === k), after = neighbours.filter(([producer]) => producer === k);
  const repeats = kernels.flatMap((other, i) => (other.same === kernel.same && i !== k ? [i] : []));
  const step = (to, text) => el('button', { type: 'button', textContent: text, disabled: to < 0 || to >= kernels.length, onclick: () => { location.hash = 'k' + to; } });
  sheet.replaceChildren(el('div', { className: 'sheet' },
    el('header', {}, el('h2', {}, kernel.what, el('small', { textContent: kernel.name + '  in  ' + kernel.path })), step(k - 1, '←'), step(k + 1, '→'), el('button', { type: 'button', textContent: 'close', onclick: () => sheet.close() })),
    el('p', { className: 'facts', textContent: kernel.cost + '; ' + kernel.run }),
    kernel.again === undefined ? undefined : el('p', { className: 'facts', textContent: kernel.again }),
    repeats.length === 0 ? undefined : el('p', { className: 'facts' }, 'the same text as ', ...links(repeats.slice(0, 24)), repeats.length > 24 ? ', …' : ''),
    el('h3', { textContent: 'Lines of the model that it computes' }),
    ...(kernel.sources.length === 0 ? [el('p', { className: 'facts', textContent: 'The source is not known here; it is part of ' + kernel.path + '.' })] : kernel.sources.map((source) => sourceItem(value(source)))),
    kernel.callers.length === 0 ? undefined : el('details', {}, el('summary', { textContent: 'called from' }), ...kernel.callers.map((source) => sourceItem(value(source)))),
    el('h3', { textContent: 'Tensors' }), table(['', '', 'tensor', 'type', 'bytes', 'from'], kernel.ports.map((port, i) => portRow([port, kernel.own[i]]))),
    el('h3', { textContent: 'Why it is a kernel of its own' }), el('p', { className: 'facts', textContent: 'What it writes is in memory because ' + value(kernel.reason) + '.' }),
    kernel.notStreamed === undefined ? undefined : el('p', { className: 'facts', textContent: 'It follows a softmax, but is no attention kernel, whose scores never reach memory: ' + kernel.notStreamed + '.' }),
    before.length === 0 ? undefined : el('h3', { textContent: 'Neighbours before it' }), before.length === 0 ? undefined : neighbourList(k, before),
    after.length === 0 ? undefined : el('h3', { textContent: 'Neighbours behind it' }), after.length === 0 ? undefined : neighbourList(k, after),
    el('h3', { textContent: 'WGSL' }), pre(value(kernel.wgsl)),
    el('h3', { textContent: 'Loops, without the words of WGSL' }), pre(value(kernel.loop)),
    el('h3', { textContent: 'Its part of the graph' }), pre(value(kernel.nodes))));
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
};

const follow = () => {
  const found = /^#k(\d+)$/.exec(location.hash);
  if (found !== null && kernels[found[1]] !== undefined) show(Number(found[1]));
  else if (sheet.open) sheet.close();
  // a node of the graph lies in a closed block
  const node = /^#n\d+$/.test(location.hash) ? document.querySelector(location.hash) : null;
  if (node !== null) {
    node.closest('details').open = true;
    node.scrollIntoView({ block: 'center' });
  }
};
addEventListener('hashchange', follow);
sheet.addEventListener('close', () => { if (/^#k\d/.test(location.hash)) history.pushState(null, '', location.pathname + location.search); });
sheet.addEventListener('click', (event) => { if (event.target === sheet) sheet.close(); });
// a link to a kernel opens it where one is, without a jump to its row
document.addEventListener('click', (event) => {
  const anchor = event.target.closest('a[href^="#k"]'), row = event.target.closest('tr[data-kernel]');
  const k = anchor === null ? row?.dataset.kernel : /^#k(\d+)$/.exec(anchor.getAttribute('href'))?.[1];
  if (k === undefined || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  if (location.hash !== '#k' + k) history.pushState(null, '', '#k' + k);
  show(Number(k));
});
addEventListener('popstate', follow);

const rows = [...document.querySelectorAll('#kernel-table tbody tr')], body = document.querySelector('#kernel-table tbody');
const numbersOf = (row) => (row.dataset.same === undefined ? row : document.getElementById('k' + row.dataset.same));
// a repeat has the numbers of the first of its kind
for (const row of rows.filter((each) => each.dataset.same !== undefined)) {
  row.append(...[...numbersOf(row).cells].slice(3).map((cell) => cell.cloneNode(true)));
  for (const folded of row.querySelectorAll('.folded')) folded.remove();
}
const adapter = () => document.querySelector('input[name=roofline]:checked').value;
const valueOf = (row, key) => {
  const { kernel } = row.dataset, { count, flops, bytes, intensity, times } = numbersOf(row).dataset, time = times.split(' ')[adapter()];
  const folded = document.getElementById('fold').checked;
  switch (key) {
    case 'flops': return Number(flops);
    case 'bytes': return Number(bytes);
    case 'intensity': return Number(intensity);
    case 'time': return Number(time);
    case 'share': return Number(time) * (folded ? Number(count) : 1);
    case 'where': return row.cells[1].textContent;
    case 'what': return row.cells[2].textContent;
    case 'bound': return row.querySelector('.r' + adapter() + ' .bound').textContent;
    default: return Number(kernel);
  }
};
let sorted = { key: 'k', falling: false };
const sort = () => {
  const { key, falling } = sorted, values = new Map(rows.map((row) => [row, valueOf(row, key)]));
  const order = [...rows].sort((a, b) => { const [x, y] = [values.get(a), values.get(b)]; return (x < y ? -1 : x > y ? 1 : 0) * (falling ? -1 : 1); });
  body.append(...order);
  for (const head of document.querySelectorAll('#kernel-table th')) {
    if (head.dataset.sort === key) head.setAttribute('aria-sort', falling ? 'descending' : 'ascending');
    else head.removeAttribute('aria-sort');
  }
};
for (const head of document.querySelectorAll('#kernel-table th')) {
  const key = head.dataset.sort, isText = ['k', 'where', 'what', 'bound'].includes(key);
  head.addEventListener('click', () => { sorted = { key, falling: sorted.key === key ? !sorted.falling : !isText }; sort(); });
}
document.getElementById('fold').addEventListener('change', sort);
for (const input of document.querySelectorAll('input[name=roofline]')) input.addEventListener('change', sort);
document.getElementById('find').addEventListener('input', ({ target }) => {
  const wanted = target.value.trim().toLowerCase();
  for (const row of rows) row.classList.toggle('unmatched', wanted !== '' && !row.textContent.toLowerCase().includes(wanted));
});

document.addEventListener('pointermove', (event) => {
  const { tip: text, at } = event.target.closest?.('[data-tip]')?.dataset ?? {};
  tip.hidden = text === undefined;
  if (text === undefined) return;
  tip.textContent = at === undefined ? text : 'k' + at + ': ' + kernels[at].what + '\n' + kernels[at].path + '\n' + text;
  const { offsetWidth: width, offsetHeight: height } = tip;
  tip.style.left = Math.max(6, Math.min(innerWidth - width - 6, event.clientX + 14)) + 'px';
  tip.style.top = (event.clientY + 20 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 20) + 'px';
});
follow();
`;
