// What a line chart is made of, apart from the screen.

// Round values from 0 up to the first one that is not below `max`, about `count` steps.
export function valueTicks(max: number, count = 3): number[] {
  if (!(max > 0)) return [0, 1];
  const rough = max / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((one) => one * power >= rough * 0.999) ?? 10);
  const ticks = [];
  for (let at = 0; ; at++) {
    ticks.push(Number((at * step).toPrecision(6)));
    if (at * step >= max) return ticks;
  }
}

const STEPS = [5, 10, 30, 60, 300, 600, 900, 1800, 3600];

// Seconds between `from` and `to` that stand on whole steps of the clock, at most `count`.
export function timeTicks(from: number, to: number, count: number): number[] {
  const step = STEPS.find((one) => (to - from) / one <= count) ?? 7200;
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return ticks;
}

type Values = readonly (number | null | undefined)[];

// Points of a line that is `width` wide and `height` high, in pieces where values are missing. Of
// what falls on one column of pixels the highest is drawn: a spike is what people look for.
export function linePieces(times: readonly number[], values: Values, max: number, width: number, height: number): [number, number][][] {
  const first = times[0] ?? 0;
  const span = Math.max(1, (times[times.length - 1] ?? 0) - first);
  const pieces: [number, number][][] = [];
  let piece: [number, number][] | null = null;
  times.forEach((time, at) => {
    const value = values[at];
    if (value == null) {
      piece = null;
      return;
    }
    const x = Math.round(((time - first) / span) * width);
    const y = Math.round((1 - value / max) * height * 10) / 10;
    if (!piece) pieces.push((piece = []));
    const last = piece[piece.length - 1];
    if (last && last[0] === x) last[1] = Math.min(last[1], y);
    else piece.push([x, y]);
  });
  return pieces;
}

// Index of the time next to `wanted`; -1: there is none.
export function nearest(times: readonly number[], wanted: number): number {
  let best = -1;
  times.forEach((time, at) => {
    if (best < 0 || Math.abs(time - wanted) < Math.abs((times[best] ?? 0) - wanted)) best = at;
  });
  return best;
}
