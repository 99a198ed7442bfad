// The small pieces that every view is made of.

import type { ComponentChildren, JSX } from 'preact';

import { groupName } from '../state';
import { t } from '../i18n';

const ICONS: Record<string, string> = {
  overview: 'M3 13h8V3H3v10zm0 8h8v-6H3v6zm10 0h8V11h-8v10zm0-18v6h8V3h-8z',
  slots: 'M4 4h4v4H4zm6 0h4v4h-4zm6 0h4v4h-4zM4 10h4v4H4zm6 0h4v4h-4zm6 0h4v4h-4zM4 16h4v4H4zm6 0h4v4h-4zm6 0h4v4h-4z',
  migrations: 'M4 8h11l-3-3 1.4-1.4L18.8 9l-5.4 5.4L12 13l3-3H4zm16 8H9l3 3-1.4 1.4L5.2 15l5.4-5.4L12 11l-3 3h11z',
  groups: 'M4 4h16v4H4zm0 6h16v4H4zm0 6h16v4H4z',
  proxies: 'M12 2a4 4 0 0 1 1 7.9V13h5v3.1a3 3 0 1 1-2 0V15h-8v1.1a3 3 0 1 1-2 0V13h5V9.900A4 4 0 0 1 12 2z',
  slowlog: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2a7 7 0 1 1 0 14 7 7 0 0 1 0-14zm-1 2v6l4.500 2.700 1-1.700-3.500-2V7z',
  audit: 'M5 3h14v18H5zm3 4v2h8V7zm0 4v2h8v-2zm0 4v2h5v-2z',
  settings: 'M4 6h9v2H4zm12-1h2v4h-2zm3 1h1v2h-1zM4 11h3v2H4zm5-1h2v4H9zm3 1h8v2h-8zM4 16h9v2H4zm12-1h2v4h-2zm3 1h1v2h-1z',
  api: 'M8.600 6 2.600 12l6 6L10 16.600 5.400 12 10 7.400zm6.800 0L14 7.400 18.600 12 14 16.600l1.400 1.400 6-6z',
  pause: 'M7 5h4v14H7zm6 0h4v14h-4z',
  play: 'M8 5v14l11-7z',
  copy: 'M8 3h11v14H8zm2 2v10h7V5zM5 7v14h11v-2H7V7z',
  moon: 'M20 14.500A8 8 0 1 1 9.500 4 6.500 6.500 0 0 0 20 14.500z',
  sun: 'M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM11 1h2v4h-2zm0 18h2v4h-2zM1 11h4v2H1zm18 0h4v2h-4zM4.200 5.600 5.600 4.200l2.800 2.800L7 8.400zM15.600 17l1.400-1.400 2.800 2.800-1.400 1.400zM4.200 18.400 7 15.600 8.400 17l-2.800 2.800zM15.600 7l2.800-2.800 1.400 1.400L17 8.400z',
  auto: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2v14a7 7 0 0 1 0-14z',
  check: 'M9 16.200 4.800 12l-1.400 1.400L9 19 21 7l-1.400-1.400z',
  warn: 'M12 2 1 21h22zm-1 7h2v6h-2zm0 7.500h2v2h-2z',
  close: 'M6.400 5 5 6.400 10.600 12 5 17.600 6.400 19 12 13.400 17.600 19 19 17.600 13.400 12 19 6.400 17.600 5 12 10.600z',
  user: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zm0 10c-4 0-8 2-8 5v1h16v-1c0-3-4-5-8-5z',
  lock: 'M7 10V7a5 5 0 0 1 10 0v3h2v11H5V10zm2 0h6V7a3 3 0 0 0-6 0z',
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={ICONS[name] ?? ''} />
    </svg>
  );
}

type ButtonProps = Omit<JSX.IntrinsicElements['button'], 'icon'> & {
  kind?: 'primary' | 'danger' | 'quiet';
  icon?: string;
};

export function Button({ kind, icon, children, class: _, ...rest }: ButtonProps) {
  return (
    <button type="button" class={`button ${kind ?? ''}`} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

type CardProps = { title?: ComponentChildren; aside?: ComponentChildren; children: ComponentChildren; class?: string; id?: string };

export function Card({ title, aside, children, class: name, id }: CardProps) {
  return (
    <section class={`card ${name ?? ''}`} id={id}>
      {(title || aside) && (
        <header class="card-head">
          {title && <h2>{title}</h2>}
          {aside && <div class="card-aside">{aside}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export function Pill({ kind, children, title }: { kind?: 'good' | 'warn' | 'bad' | 'work'; children: ComponentChildren; title?: string | undefined }) {
  return <span class={`pill ${kind ?? ''}`} title={title}>{children}</span>;
}

export function Empty({ text, hint, children }: { text: string; hint?: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-text">{text}</p>
      {hint && <p class="muted">{hint}</p>}
      {children}
    </div>
  );
}

export function Loading() {
  return <div class="loading" role="status"><span class="sr">{t().common.loading}</span></div>;
}

// `part` of `whole` as a bar; the text beside it says the same.
export function Bar({ part, whole, color, label }: { part: number; whole: number; color?: string; label?: string }) {
  const width = whole > 0 ? Math.min(100, (100 * part) / whole) : 0;
  return (
    <div class="bar" role={label ? 'img' : undefined} aria-label={label} aria-hidden={label ? undefined : 'true'}>
      <div class={`bar-fill ${color ?? ''}`} style={{ width: `${width}%` }} />
    </div>
  );
}

const HUES = 12;
// The colour of a group goes with its id, so that it stays when others come and go. Past 12 groups
// colours come again with stripes.
export function groupColor(id: number | null | undefined): string {
  if (id == null) return 'g-none';
  return `g-${(id - 1) % HUES}${Math.floor((id - 1) / HUES) % 2 === 1 ? ' striped' : ''}`;
}

export function GroupTag({ id }: { id: number | null | undefined }) {
  return (
    <span class="group-tag">
      <span class={`swatch ${groupColor(id)}`} />
      {id == null ? t().slots.unassigned : groupName(id)}
    </span>
  );
}

export function Field({ label, hint, error, children }: { label: string; hint?: string | undefined; error?: string | undefined; children: ComponentChildren }) {
  return (
    <div class="field">
      <label><span class="field-label">{label}</span>{children}</label>
      {hint && <span class="field-hint">{hint}</span>}
      {error && <span class="field-error" role="alert">{error}</span>}
    </div>
  );
}

export function Meter({ value, label }: { value: ComponentChildren; label: string }) {
  return (
    <div class="meter">
      <div class="meter-value">{value}</div>
      <div class="meter-label">{label}</div>
    </div>
  );
}

// A table that scrolls inside itself where the screen is narrow.
export function Table({ head, children, caption }: { head: ComponentChildren; children: ComponentChildren; caption: string }) {
  return (
    <div class="table-wrap" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <thead><tr>{head}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
