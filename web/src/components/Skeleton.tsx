import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { t } from "../i18n";

const DELAY_MS = 300; // what is loaded sooner should not flicker

/** Grey bars while something is loaded for longer than a moment. */
export function Skeleton({ lines = 3 }: { lines?: number }): JSX.Element {
  const shown = useSignal(false);
  useEffect(() => {
    const timer = setTimeout(() => (shown.value = true), DELAY_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="skeleton" role="status" aria-label={t("common.loading")}>
      {shown.value && Array.from({ length: lines }, (_, index) => <div key={index} class="skeleton-line" />)}
    </div>
  );
}
