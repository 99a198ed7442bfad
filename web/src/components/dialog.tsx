// Dialogs, and the three levels of confirmation: none (with undo, see toast()), a dialog that names
// object and effect, and one where the cluster's name must be typed.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { ApiError, run } from '../api';
import { t } from '../i18n';
import { copyText } from '../lib/clipboard';
import { curlLine, type Call } from '../lib/curl';
import { canChange, cluster, reload, toast } from '../state';
import { Button, Icon } from "./basics";
import { ProblemBox } from './problem';

type DialogProps = { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean };

export function Dialog({ title, onClose, children, wide }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const dialog = ref.current;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={wide ? 'wide' : ''}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header class="dialog-head">
        <h2>{title}</h2>
        <button type="button" class="button quiet square" aria-label={t().common.close} onClick={onClose}><Icon name="close" /></button>
      </header>
      {children}
    </dialog>
  );
}

export function CopyCurl({ call }: { call: Call }) {
  return (
    <Button
      kind="quiet"
      icon="copy"
      onClick={async () => {
        const done = await copyText(curlLine(call, location.origin));
        toast(done ? t().common.copied : t().common.copyFailed, done ? 'good' : 'bad');
      }}
    >
      {t().common.copyCurl}
    </Button>
  );
}

// Where the cluster's name must be typed. `onMatch` hears whether it is there.
export function TypeName({ onMatch }: { onMatch: (matches: boolean) => void }) {
  const name = cluster.value?.name ?? '';
  return (
    <label class="type-name">
      <span>{t().common.typeName(name)}</span>
      <input autocomplete="off" spellcheck={false} onInput={(event) => onMatch(event.currentTarget.value === name)} />
    </label>
  );
}

interface ActionDialogProps {
  title: string;
  submit: string;
  // What will be sent; null while the form is incomplete.
  call: Call | null;
  // Whom to tell, with the server's answer.
  onDone: (answer: unknown) => void;
  onClose: () => void;
  done?: string;
  danger?: boolean;
  // The cluster's name must be typed.
  strict?: boolean;
  // What the operator saw when deciding, as text. While it stays the same, the call follows the
  // topology's version (which a migration raises all the time); once it differs, the call keeps the
  // version it was made for, and the server refuses it.
  basis?: string;
  wide?: boolean;
  children: ComponentChildren;
  extra?: ComponentChildren;
}

// A dialog that sends one call: form or sentence above, copy as curl, cancel and the verb below.
export function ActionDialog(props: ActionDialogProps) {
  const { title, submit, call: asked, onDone, onClose, done, danger, strict, wide, children, extra, basis } = props;
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const [matches, setMatches] = useState(!strict);
  const seen = useRef({ basis, version: asked?.version });
  if (seen.current.basis === basis || seen.current.version === undefined) seen.current = { basis, version: asked?.version };
  const call = asked && seen.current.version !== undefined ? { ...asked, version: seen.current.version } : asked;

  const send = async () => {
    if (!call || isBusy) return;
    setBusy(true);
    setError(null);
    try {
      const answer = await run(call);
      if (done) toast(done);
      reload();
      onDone(answer);
    } catch (problem) {
      setError(problem);
      // Somebody was faster: show what is there now.
      if (problem instanceof ApiError && (problem.problem.status === 412 || problem.problem.status === 404)) {
        reload();
        seen.current = { basis, version: undefined };
      }
      setBusy(false);
    }
  };

  return (
    <Dialog title={title} onClose={onClose} wide={wide ?? false}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <div class="dialog-body">
          {children}
          <ProblemBox error={error} />
        </div>
        <footer class="dialog-foot">
          {strict && <TypeName onMatch={setMatches} />}
          {call && <CopyCurl call={call} />}
          {extra}
          <span class="spring" />
          <Button onClick={onClose}>{t().common.cancel}</Button>
          <button
            type="submit"
            class={`button ${danger ? 'danger solid' : 'primary'}`}
            disabled={!call || isBusy || !matches || !canChange.value}
          >
            {submit}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

