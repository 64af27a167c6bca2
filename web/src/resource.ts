/** Data of a page: fetched, fetched again, with the error of the last try. */

import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { Problem, toProblem } from "./api/problem";

export interface Resource<T> {
  /** The last data; it stays while it is fetched again, and after an error. Set it to apply a change. */
  data: { value: T | undefined };
  problem: ReadonlySignal<Problem | null>;
  loading: ReadonlySignal<boolean>;
  reload: () => void;
}

/** Fetch when the component appears and whenever a dependency changes. An older answer never replaces a newer. */
export function useResource<T>(fetch: (signal: AbortSignal) => Promise<T>, dependencies: readonly unknown[]): Resource<T> {
  const data = useSignal<T | undefined>(undefined);
  const problem = useSignal<Problem | null>(null);
  const loading = useSignal(true);
  const current = useRef<AbortController | null>(null);

  async function load(): Promise<void> {
    current.current?.abort();
    const controller = (current.current = new AbortController());
    loading.value = true;
    try {
      const result = await fetch(controller.signal);
      if (controller.signal.aborted) return;
      data.value = result;
      problem.value = null;
    } catch (error) {
      if (controller.signal.aborted) return;
      problem.value = toProblem(error);
    }
    loading.value = false;
  }

  useEffect(() => {
    void load();
    return () => current.current?.abort();
  }, dependencies);

  return { data, problem, loading, reload: () => void load() };
}
