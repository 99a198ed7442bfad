// Connects this page to the event stream.

import { openStream, type StreamMessage } from './stream';

const HERE_MS = 10_000;

export interface Live {
  // After a login or logout.
  again(): void;
  close(): void;
}

export function connectLive(hear: (message: StreamMessage) => void): Live {
  if (typeof SharedWorker === 'undefined') {
    let close = openStream(hear);
    return {
      again() {
        close();
        close = openStream(hear);
      },
      close: () => close(),
    };
  }
  const { port } = new SharedWorker(EVENTS_WORKER, { name: 'pikaproxy events' });
  port.onmessage = ({ data }: MessageEvent<StreamMessage>) => hear(data);
  const here = setInterval(() => port.postMessage('here'), HERE_MS);
  const bye = () => port.postMessage('bye');
  addEventListener('pagehide', bye);
  addEventListener('pageshow', (event) => {
    if (event.persisted) port.postMessage('again');
  });
  return {
    again: () => port.postMessage('again'),
    close() {
      clearInterval(here);
      removeEventListener('pagehide', bye);
      bye();
      port.close();
    },
  };
}
