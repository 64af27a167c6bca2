/** Live changes for the pages: `useChanges` in a component, `connection` for the indicator. */

import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { Change, Message, Mode } from "./messages";
import { Tabs } from "./tabs";

export { isNewer } from "./messages";
export type { Change } from "./messages";

// From here on "live" would be a wrong word: on an idle system the tracker is confirmed to be caught up each 15 s.
const LAG_SECONDS = 40;

const mode = signal<Mode>("connecting");
const lag = signal(0);

/** Whether a person paused updates in this tab. */
export const paused = signal(false);

/** Changes that arrived while updates were paused. */
export const held = signal(0);

/** What the indicator shows. `lag` is how far the status tracker is behind, in seconds. */
export const connection = computed(() => ({
  state: paused.value
    ? ("paused" as const)
    : mode.value === "stream" && lag.value > LAG_SECONDS
      ? ("delayed" as const)
      : mode.value === "stream"
        ? ("live" as const)
        : mode.value,
  lag: lag.value,
}));

interface Listener {
  onChange: (change: Change) => void;
  onReset: () => void;
}

const listeners = new Set<Listener>();

/** Connect. Called once, by main.tsx. */
export function startLive(): void {
  new Tabs(receive);
}

/** Stop applying changes in this tab. */
export function pause(): void {
  paused.value = true;
}

/** Apply changes again; each page fetches what it shows. */
export function resume(): void {
  paused.value = false;
  held.value = 0;
  for (const listener of listeners) listener.onReset();
}

/** Receive changes until the returned function is called. `onReset`: fetch again, some changes are unknown. */
export function subscribe(onChange: (change: Change) => void, onReset: () => void): () => void {
  const listener = { onChange, onReset };
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Receive changes while the component is shown. The functions may be new ones at each render. */
export function useChanges(onChange: (change: Change) => void, onReset: () => void): void {
  const latest = useRef({ onChange, onReset });
  latest.current = { onChange, onReset };
  useEffect(() => subscribe((change) => latest.current.onChange(change), () => latest.current.onReset()), []);
}

function receive(message: Message): void {
  if (message.kind === "mode") mode.value = message.mode;
  else if (message.kind === "heartbeat") lag.value = message.lag;
  else if (paused.value) held.value += 1;
  else if (message.kind === "change") for (const listener of listeners) listener.onChange(message.change);
  else for (const listener of listeners) listener.onReset();
}
