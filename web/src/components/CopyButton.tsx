import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { announce } from "../announce";
import { t } from "../i18n";
import { Button } from "./Button";

const SHOWN_MS = 2_000;

/** A button that copies a text. With `children` it has a word beside its icon. */
export function CopyButton({ text, label, children }: { text: string; label?: string; children?: string }): JSX.Element {
  const copied = useSignal(false);

  async function copy(): Promise<void> {
    await writeClipboard(text);
    copied.value = true;
    announce(t("common.copied"));
    setTimeout(() => (copied.value = false), SHOWN_MS);
  }

  return (
    <Button kind="quiet" icon={copied.value ? "check" : "copy"} label={label ?? t("common.copy")} onClick={() => void copy()}>
      {children && (copied.value ? t("common.copied") : children)}
    </Button>
  );
}

/** The clipboard's API exists only on https and loopback; a selected text area works everywhere. */
async function writeClipboard(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
