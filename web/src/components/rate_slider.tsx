// A rate on a logarithmic slider whose right end is "unlimited" (0 for the server).

import { t } from '../i18n';
import { RATE_STEPS, rateAt, stepOf } from '../lib/rate';

interface RateSliderProps {
  label: string;
  value: number;
  format: (value: number) => string;
  // Of the leftmost step.
  least: number;
  onChange: (value: number) => void;
  disabled?: boolean;
}

export function RateSlider({ label, value, format, least, onChange, disabled }: RateSliderProps) {
  const text = value === 0 ? t().common.unlimited : t().migrations.perSecond(format(value));
  return (
    <label class="stack tight">
      <span class="rate-head"><span>{label}</span><b>{text}</b></span>
      <input
        type="range"
        min={0}
        max={RATE_STEPS}
        value={stepOf(value, least)}
        aria-valuetext={text}
        disabled={disabled}
        onInput={(event) => onChange(rateAt(Number(event.currentTarget.value), least))}
      />
    </label>
  );
}
