// navigator.clipboard is missing where the page came over plain http from an address.
export async function copyText(text: string): Promise<boolean> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Refused: the old way may still work.
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'offscreen';
  // Inside an open dialog nothing else can have the focus.
  const open = document.querySelectorAll('dialog[open]');
  (open[open.length - 1] ?? document.body).append(area);
  const before = document.activeElement as HTMLElement | null;
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  before?.focus();
  return done;
}
