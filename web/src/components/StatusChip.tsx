import type { JSX } from "preact";

import { translate } from "../i18n";
import { Icon, type IconName } from "./Icon";

const ICONS: Record<string, IconName> = {
  AWAITING_UPLOAD: "upload",
  PENDING: "clock",
  PROCESSING: "spin",
  RETRYING: "reconcile",
  DONE: "check",
  FAILED: "alert",
  EXPIRED: "ban",
  DELETED: "trash",
};

/** A state as an icon and a word, never by colour alone. `RETRYING`: PENDING with a `next_attempt_at`. */
export function StatusChip({ status, subtle = false }: { status: string; subtle?: boolean }): JSX.Element {
  return (
    <span class={`chip chip-${status.toLowerCase()} ${subtle ? "chip-subtle" : ""}`}>
      <Icon name={ICONS[status] ?? "clock"} size={16} />
      {translate(`status.${status}`, status)}
    </span>
  );
}

/** Return the state to show for an image: a PENDING one that waits for its next attempt is RETRYING. */
export function shownStatus(image: { status: string; next_attempt_at?: string | null }): string {
  return image.status === "PENDING" && image.next_attempt_at ? "RETRYING" : image.status;
}
