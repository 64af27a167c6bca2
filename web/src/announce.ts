/** The one polite live region: for screen readers, at most one text each three seconds. */

import { signal } from "@preact/signals";

const INTERVAL_MS = 3_000;

/** The text in the live region (layout.tsx). */
export const announcement = signal("");

let waiting: string | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Announce a text; a newer one replaces one that still waits. */
export function announce(text: string): void {
  waiting = text;
  timer ??= setTimeout(next, announcement.value ? INTERVAL_MS : 50);
}

function next(): void {
  timer = undefined;
  if (waiting === null) {
    announcement.value = "";
    return;
  }
  announcement.value = waiting;
  waiting = null;
  timer = setTimeout(next, INTERVAL_MS);
}
