// Values of slots as few classes of colour, so that a new value seldom means a new paint.

export const HEAT_CLASSES = 16;

// 0: nothing there; 1..15: by the logarithm between the smallest and the largest. The ends are
// rounded to powers of two, or each new maximum would shift the colour of every slot.
export function heatClasses(values: readonly (number | null | undefined)[]): number[] {
  let low = Infinity;
  let high = 0;
  for (const value of values) {
    if (!value || value <= 0) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (high === 0) return values.map(() => 0);
  const bottom = Math.floor(Math.log2(low));
  const span = Math.max(1, Math.ceil(Math.log2(high)) - bottom);
  return values.map((value) => {
    if (!value || value <= 0) return 0;
    const part = (Math.log2(value) - bottom) / span;
    return 1 + Math.min(HEAT_CLASSES - 2, Math.max(0, Math.floor(part * (HEAT_CLASSES - 1))));
  });
}
