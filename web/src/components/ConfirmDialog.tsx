import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";

import { toProblem } from "../api/problem";
import { loadProblemText, t } from "../i18n";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import type { IconName } from "./Icon";

interface Properties {
  open: boolean;
  title: string;
  /** The button that does it: its text, look and icon. */
  action: string;
  kind: "primary" | "danger";
  icon: IconName;
  /** Do it. A problem that it throws is shown in the dialog, which stays open. */
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
  children: ComponentChildren;
}

/** A dialog that asks before something is done: what will happen, a way out, and the button that does it. */
export function ConfirmDialog({ open, title, action, kind, icon, onConfirm, onClose, children }: Properties): JSX.Element {
  const busy = useSignal(false);
  const error = useSignal("");

  function close(): void {
    error.value = "";
    onClose();
  }

  async function confirm(): Promise<void> {
    busy.value = true;
    error.value = "";
    try {
      await onConfirm();
      close();
    } catch (failure) {
      error.value = await loadProblemText(toProblem(failure));
    }
    busy.value = false;
  }

  return (
    <Dialog
      open={open}
      title={title}
      onClose={close}
      actions={
        <>
          <Button onClick={close}>{t("common.cancel")}</Button>
          <Button kind={kind} icon={icon} busy={busy.value} onClick={() => void confirm()}>
            {action}
          </Button>
        </>
      }
    >
      {children}
      {error.value && (
        <p class="field-error" role="alert">
          {error.value}
        </p>
      )}
    </Dialog>
  );
}
