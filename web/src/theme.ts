import { signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';
const KEY = 'pikaproxy.theme';

const kept = localStorage.getItem(KEY);
export const theme = signal<Theme>(kept === 'light' || kept === 'dark' ? kept : 'auto');
const system = matchMedia('(prefers-color-scheme: dark)');
// What is on screen; charts are drawn anew when it changes.
export const isDark = signal(false);

function apply(): void {
  isDark.value = theme.value === 'dark' || (theme.value === 'auto' && system.matches);
  document.documentElement.dataset.theme = isDark.value ? 'dark' : 'light';
}
system.addEventListener('change', apply);
apply();

export function setTheme(next: Theme): void {
  theme.value = next;
  localStorage.setItem(KEY, next);
  apply();
}
