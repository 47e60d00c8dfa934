/** Panels with lines over time, as SVG. */

export interface Series {
  readonly name: string;
  /** Seconds since the epoch, value. */
  readonly values: readonly (readonly [number, number])[];
}

export interface DrawnPanel {
  readonly title: string;
  /** Grafana's name of it. */
  readonly unit: string;
  /** In Grafana's grid of 24 columns. */
  readonly grid: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly series: readonly Series[];
}

interface Range {
  readonly start: number;
  readonly end: number;
}

const column = 50;
const row = 30;
const gap = 8;
const top = 46;
const colours = ['#7eb26d', '#eab839', '#6ed0e0', '#ef843c', '#e24d42', '#1f78c1', '#ba43a9', '#705da0', '#508642', '#cca300', '#447ebc', '#c15c17'];

export function drawDashboard(title: string, panels: readonly DrawnPanel[], range: Range): string {
  const height = top + Math.max(...panels.map(({ grid }) => grid.y + grid.h)) * row;
  const width = 24 * column;
  const minutes = Math.round((range.end - range.start) / 60);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#111217"/>`,
    text(12, 30, `${title} — ${minutes} minutes`, '#d8d9da', 20),
    ...panels.map((panel) => drawPanel(panel, range)),
    '</svg>\n',
  ].join('\n');
}

function drawPanel({ title, unit, grid, series }: DrawnPanel, range: Range): string {
  const [x, y] = [grid.x * column + gap / 2, top + grid.y * row];
  const [width, height] = [grid.w * column - gap, grid.h * row - gap];
  const plot = { x: x + 52, y: y + 28, width: width - 62, height: height - 76 };
  const most = niceMaximum(Math.max(0, ...series.flatMap(({ values }) => values.map(([, value]) => value))));
  const place = ([time, value]: readonly [number, number]): string => {
    const across = plot.x + ((time - range.start) / (range.end - range.start)) * plot.width;
    return `${across.toFixed(1)},${(plot.y + plot.height * (1 - value / most)).toFixed(1)}`;
  };
  const lines = series.map(({ values }, index) =>
    `<polyline fill="none" stroke="${colour(index)}" stroke-width="1.3" points="${values.map(place).join(' ')}"/>`);
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="3" fill="#181b1f" stroke="#2c3235"/>`,
    text(x + 10, y + 18, title, '#d8d9da', 12),
    ...[0, 0.5, 1].map((share) => axisLine(plot, share, humanUnit(most * share, unit))),
    ...(series.length === 0 ? [text(plot.x + plot.width / 2 - 24, plot.y + plot.height / 2, 'No data', '#8e8e8e', 12)] : lines),
    legend(series, x + 10, y + height - 34, width - 20),
  ].join('\n');
}

function axisLine(plot: { x: number; y: number; width: number; height: number }, share: number, label: string): string {
  const y = plot.y + plot.height * (1 - share);
  return `<line x1="${plot.x}" x2="${plot.x + plot.width}" y1="${y}" y2="${y}" stroke="#2c3235"/>${text(plot.x - 46, y + 4, label, '#8e8e8e', 10)}`;
}

/** Two lines, and the number of names for which there is no room. */
function legend(series: readonly Series[], x: number, y: number, width: number): string {
  const parts: string[] = [];
  let [across, down] = [x, y + 8];
  for (const [index, { name }] of series.entries()) {
    const needed = 20 + name.length * 6.4;
    if (across + needed > x + width) [across, down] = [x, down + 15];
    if (down > y + 24 || (down > y + 8 && across + needed > x + width - 60 && index < series.length - 1)) {
      parts.push(text(across, Math.min(down, y + 23), `+ ${series.length - index}`, '#8e8e8e', 10));
      break;
    }
    parts.push(`<rect x="${across}" y="${down - 4}" width="10" height="3" fill="${colour(index)}"/>`, text(across + 14, down, name, '#c7d0d9', 10));
    across += needed;
  }
  return parts.join('');
}

function colour(index: number): string {
  return colours[index % colours.length] ?? '#fff';
}

function niceMaximum(value: number): number {
  if (value <= 0) return 1;
  const scale = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * scale >= value) ?? 10) * scale;
}

export function humanUnit(value: number, unit: string): string {
  const short = (number: number): string => String(Number(number.toPrecision(3)));
  if (value === 0) return '0';
  if (unit === 's') return value < 0.001 ? `${short(value * 1e6)} µs` : value < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`;
  if (unit === 'percentunit') return `${short(value * 100)} %`;
  if (unit === 'bytes' || unit === 'Bps') {
    const power = Math.max(0, Math.min(4, Math.floor(Math.log2(value) / 10)));
    return `${short(value / 1024 ** power)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power] ?? ''}${unit === 'Bps' ? '/s' : ''}`;
  }
  return unit === 'reqps' || unit === 'ops' ? `${short(value)} /s` : short(value);
}

function text(x: number, y: number, content: string, fill: string, size: number): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<text x="${x.toFixed(0)}" y="${y.toFixed(0)}" fill="${fill}" font-size="${size}">${escaped}</text>`;
}
