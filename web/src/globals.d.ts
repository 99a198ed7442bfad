// Put in by build.mjs.
declare const EVENTS_WORKER: string;
