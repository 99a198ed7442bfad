// The SharedWorker: holds the one event stream while at least one page listens.

import { openStream } from './lib/stream';

interface Page {
  port: MessagePort;
  heardAt: number;
}

// A page says that it is there each 10 s; in the background browsers let it do so once a minute.
const SILENT_MS = 150_000;

const pages = new Set<Page>();
let close: (() => void) | null = null;

function update(): void {
  if (pages.size === 0) {
    close?.();
    close = null;
  } else {
    close ??= openStream((message) => {
      for (const page of pages) page.port.postMessage(message);
    });
  }
}

(self as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  const page: Page = { port, heardAt: Date.now() };
  pages.add(page);
  port.onmessage = ({ data }) => {
    page.heardAt = Date.now();
    if (data === 'bye') {
      pages.delete(page);
    } else if (data === 'again') {
      // After a login: the cookie has changed.
      close?.();
      close = null;
      pages.add(page);
    } else {
      pages.add(page);
    }
    update();
  };
  update();
};

setInterval(() => {
  for (const page of pages) if (Date.now() - page.heardAt > SILENT_MS) pages.delete(page);
  update();
}, 30_000);
