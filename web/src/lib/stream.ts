// The event stream: one per browser, in a SharedWorker, because a browser opens only six
// connections to a server and each tab would hold one. Where there is no SharedWorker (some phones),
// each page has its own.

export const TOPICS = ['slots', 'migration', 'stats', 'health', 'topology', 'audit'] as const;
export type Topic = (typeof TOPICS)[number];

export type StreamMessage =
  | { kind: 'event'; topic: Topic; data: unknown }
  // Everything must be loaded again: it has just begun, or something was missed.
  | { kind: 'resync' }
  | { kind: 'lost' }
  // The server does not want us: the session may be over.
  | { kind: 'refused' };

const RETRY_MS = 3000;

// Opens the stream and keeps it open until the returned function is called.
export function openStream(tell: (message: StreamMessage) => void): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const open = () => {
    source = new EventSource('/api/v1/events');
    source.onopen = () => tell({ kind: 'resync' });
    source.addEventListener('resync', () => tell({ kind: 'resync' }));
    source.addEventListener('bye', () => tell({ kind: 'refused' }));
    for (const topic of TOPICS) {
      source.addEventListener(topic, (event) => {
        let data: unknown;
        try {
          data = JSON.parse((event as MessageEvent<string>).data);
        } catch {
          return;
        }
        tell({ kind: 'event', topic, data });
      });
    }
    source.onerror = () => {
      // Connecting: the browser tries again by itself. Closed: the answer was no stream.
      if (source?.readyState !== EventSource.CLOSED) {
        tell({ kind: 'lost' });
        return;
      }
      tell({ kind: 'refused' });
      timer = setTimeout(open, RETRY_MS);
    };
  };
  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
