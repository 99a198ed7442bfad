import { signal } from '@preact/signals';

import { en, type Texts } from './en';
import { zh } from './zh';

export type Language = 'en' | 'zh';
const KEY = 'pikaproxy.language';

function initial(): Language {
  const kept = localStorage.getItem(KEY);
  if (kept === 'en' || kept === 'zh') return kept;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

const current = signal<Language>(initial());

export function setLanguage(language: Language): void {
  current.value = language;
  localStorage.setItem(KEY, language);
  document.documentElement.lang = language;
}
document.documentElement.lang = current.value;

export const language = () => current.value;
// The texts; reading them in a component makes it follow the language.
export const t = (): Texts => (current.value === 'zh' ? zh : en);
