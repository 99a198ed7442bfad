// Numbers for people. Nothing known is a dash.

export const DASH = '–';

type Maybe = number | null | undefined;

function scaled(value: number, step: number, units: string[]): string {
  let at = 0;
  while (Math.abs(value) >= step * 0.9995 && at < units.length - 1) {
    value /= step;
    at++;
  }
  const digits = at === 0 && Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return `${digits === 0 ? Math.round(value) : Number(value.toFixed(digits))}${units[at]}`;
}

// 999, 1.2k, 141.9k -> "142k"
export function count(value: Maybe): string {
  return value == null ? DASH : scaled(value, 1000, ['', 'k', 'M', 'G', 'T']);
}

export function bytes(value: Maybe): string {
  return value == null ? DASH : scaled(value, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB']);
}

// Microseconds.
export function latency(us: Maybe): string {
  if (us == null) return DASH;
  return us < 1e6 ? scaled(us, 1000, [' µs', ' ms']) : `${Number((us / 1e6).toFixed(2))} s`;
}

export function duration(seconds: Maybe): string {
  if (seconds == null || !Number.isFinite(seconds)) return DASH;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, (100 * part) / whole)) : 0;
}

// An RFC 3339 time as the browser's clock shows it.
export function clock(time: string | null | undefined, locale: string): string {
  if (!time) return DASH;
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return DASH;
  const sameDay = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(locale, sameDay
    ? { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }
    : { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hour12: false });
}

export function signed(value: number): string {
  return value > 0 ? `+${value}` : value < 0 ? `−${-value}` : '0';
}
