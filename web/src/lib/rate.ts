// Steps of a logarithmic slider: each doubles the rate, the last one is "unlimited" (0).

export const RATE_STEPS = 16;

export function rateAt(step: number, least: number): number {
  return step >= RATE_STEPS ? 0 : least * 2 ** step;
}

export function stepOf(rate: number, least: number): number {
  if (rate <= 0) return RATE_STEPS;
  return Math.max(0, Math.min(RATE_STEPS - 1, Math.round(Math.log2(rate / least))));
}
