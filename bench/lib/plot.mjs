/** Line plots with logarithmic axes as one SVG: a panel per question, a line per peer. */

const WIDTH = 300, HEIGHT = 240, LEFT = 52, TOP = 58, GAP = 26, BOTTOM = 46, LEGEND = 26;
const COLOURS = ['#0b6e4f', '#c1443c', '#3d5a9e', '#b7791f', '#6b4c9a'];

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** 1, 2 and 5 times the powers of ten that lie in a range. */
const ticksIn = ([low, high]) => {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) for (const digit of [1, 2, 5]) ticks.push(digit * 10 ** power);
  return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
};

const scale = ([low, high], [from, to]) => (value) => from + ((Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low) || 1)) * (to - from);

/** A panel: { title, x, lines: [{ name, points: [[x, y], ...] }] }. `extent` is that of y, the same for all. */
const panelSvg = ({ title, x: xTitle, lines }, left, extent, colourOf, isFirst) => {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const atX = scale([xs[0], xs.at(-1)], [left + 10, left + WIDTH - 10]), atY = scale(extent, [TOP + HEIGHT, TOP]);
  const grid = ticksIn(extent).map((tick) => `<line x1="${left}" x2="${left + WIDTH}" y1="${atY(tick)}" y2="${atY(tick)}" stroke="#ddd"/>${isFirst ? `<text x="${left - 6}" y="${atY(tick) + 4}" text-anchor="end">${Number(tick.toPrecision(1))}</text>` : ''}`);
  const places = xs.map((x) => `<text x="${atX(x)}" y="${TOP + HEIGHT + 16}" text-anchor="middle">${x}</text>`);
  const curves = lines.flatMap(({ name, points }) => {
    const at = points.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`), colour = colourOf(name);
    return [`<polyline points="${at.join(' ')}" fill="none" stroke="${colour}" stroke-width="${name === 'ours' ? 3 : 1.5}"/>`, ...points.map(([x, y]) => `<circle cx="${atX(x).toFixed(1)}" cy="${atY(y).toFixed(1)}" r="3" fill="${colour}"><title>${escape(name)}, ${x}: ${y.toFixed(1)} ms</title></circle>`)];
  });
  return [
    `<text x="${left}" y="${TOP - 12}" font-weight="bold">${escape(title)}</text>`, `<rect x="${left}" y="${TOP}" width="${WIDTH}" height="${HEIGHT}" fill="none" stroke="#888"/>`,
    ...grid, ...places, `<text x="${left + WIDTH / 2}" y="${TOP + HEIGHT + 34}" text-anchor="middle">${escape(xTitle)}</text>`, ...curves,
  ].join('\n');
};

/** The panels side by side under one legend; y is milliseconds. */
export const plotSvg = (panels, caption) => {
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))], colourOf = (name) => COLOURS[names.indexOf(name) % COLOURS.length];
  const values = panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([, y]) => y))), extent = [Math.min(...values) / 1.2, Math.max(...values) * 1.2];
  const width = LEFT + panels.length * (WIDTH + GAP), height = TOP + HEIGHT + BOTTOM + LEGEND + 18, legendY = TOP + HEIGHT + BOTTOM + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#222">`, `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="8" y="20">least milliseconds of a call</text>`,
    ...panels.map((panel, i) => panelSvg(panel, LEFT + i * (WIDTH + GAP), extent, colourOf, i === 0)),
    ...names.map((name, i) => `<line x1="${LEFT + i * 170}" x2="${LEFT + 24 + i * 170}" y1="${legendY}" y2="${legendY}" stroke="${colourOf(name)}" stroke-width="3"/><text x="${LEFT + 30 + i * 170}" y="${legendY + 4}">${escape(name)}</text>`),
    `<text x="${LEFT}" y="${legendY + 26}" fill="#666">${escape(caption)}</text>`, '</svg>', '',
  ].join('\n');
};
