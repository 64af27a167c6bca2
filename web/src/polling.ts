/** Repeated fetching for what no change reports, such as queue lengths. It rests while paused or not visible. */

import { useEffect, useRef } from "preact/hooks";

import { paused, useChanges } from "./live";

/** Call a function each `milliseconds` while the component is shown. Null: not at all. */
export function usePolling(reload: () => void, milliseconds: number | null): void {
  const latest = useRef(reload);
  latest.current = reload;
  useEffect(() => {
    if (milliseconds === null) return;
    const timer = setInterval(() => {
      if (!paused.value && document.visibilityState === "visible") latest.current();
    }, milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}

/** Call a function after changes, at most once in `milliseconds`, and at once when changes may be missing. */
export function useReloadAfterChanges(reload: () => void, milliseconds: number): void {
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => () => clearTimeout(timer.current), []);
  const later = (): void => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      reload();
    }, milliseconds);
  };
  useChanges(later, reload);
}
