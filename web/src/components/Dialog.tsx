import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { t } from "../i18n";
import { Button } from "./Button";

interface Properties {
  open: boolean;
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** Buttons at the end; the dialog adds none but the cross. */
  actions?: ComponentChildren;
}

/** A modal dialog: the browser's own, which keeps the focus inside, closes on Escape and gives the focus back. */
export function Dialog({ open, title, onClose, children, actions }: Properties): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    if (open) element.current?.showModal();
    else element.current?.close();
  }, [open]);
  return (
    <dialog
      ref={element}
      class="dialog"
      aria-labelledby={titleId}
      onClose={() => open && onClose()}
      onClick={(event) => event.target === element.current && onClose()}
    >
      {open && (
        <div class="dialog-body">
          <header>
            <h2 id={titleId}>{title}</h2>
            <Button kind="quiet" icon="cross" label={t("common.close")} onClick={onClose} />
          </header>
          {children}
          {actions && <footer>{actions}</footer>}
        </div>
      )}
    </dialog>
  );
}
