// Language and colours.

import { language, setLanguage, t } from '../i18n';
import { setTheme, theme, type Theme } from '../theme';
import { Icon } from './basics';

export function LanguageButton() {
  return (
    <button type="button" class="button quiet" lang={language() === 'en' ? 'zh' : 'en'}
      onClick={() => setLanguage(language() === 'en' ? 'zh' : 'en')}>
      {t().other}
    </button>
  );
}

const NEXT: Record<Theme, Theme> = { auto: 'dark', dark: 'light', light: 'auto' };

export function ThemeButton() {
  const texts = t().top;
  const name = { auto: texts.themeAuto, light: texts.themeLight, dark: texts.themeDark }[theme.value];
  return (
    <button type="button" class="button quiet square" title={`${texts.theme}: ${name}`} aria-label={`${texts.theme}: ${name}`}
      onClick={() => setTheme(NEXT[theme.value])}>
      <Icon name={{ auto: 'auto', light: 'sun', dark: 'moon' }[theme.value]} />
    </button>
  );
}
