import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { body, client, type Schemas } from "../../api/client";
import { Button } from "../../components";
import { formatNumber, t } from "../../i18n";
import { useChanges } from "../../live";
import { Link, setQuery } from "../../router";
import { useResource } from "../../resource";
import { withQuery } from "./address";
import type { Filter } from "./cards";

type Status = Schemas["Status"];

const STATES: readonly Status[] = ["DONE", "PROCESSING", "PENDING", "FAILED", "AWAITING_UPLOAD", "EXPIRED", "DELETED"];
const ALWAYS: readonly Status[] = ["DONE", "FAILED"];
const RECOUNT_MS = 2_000; // the counts follow the changes, at most this often

/** The states with their counts. */
export function States({ filter }: { filter: Filter }): JSX.Element {
  const counts = useCounts(filter.batch);
  const states = STATES.filter((state) => ALWAYS.includes(state) || filter.status === state || counts?.[state]);
  const all = counts && STATES.filter((state) => state !== "DELETED").reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  return (
    <nav class="tabs gallery-states" aria-label={t("gallery.states")}>
      <State status={null} filter={filter} count={all ?? undefined} />
      {states.map((state) => (
        <State key={state} status={state} filter={filter} count={counts?.[state]} />
      ))}
    </nav>
  );
}

function State({ status, filter, count }: { status: Status | null; filter: Filter; count: number | undefined }): JSX.Element {
  return (
    <Link
      class="tab"
      to={withQuery({ status, cursor: null })}
      aria-current={filter.status === status ? "true" : undefined}
    >
      {status ? t(`status.${status}`) : t("gallery.all")}
      {count !== undefined && <span class="tab-count">{formatNumber(count)}</span>}
    </Link>
  );
}

/** The search by batch or object key. */
export function Search({ filter }: { filter: Filter }): JSX.Element {
  const by = useSignal<"batch" | "key">(filter.key ? "key" : "batch");
  const text = filter[by.value] ?? "";

  function submit(event: JSX.TargetedSubmitEvent<HTMLFormElement>): void {
    event.preventDefault();
    const wanted = String(new FormData(event.currentTarget).get("text") ?? "").trim();
    setQuery({ batch: null, key: null, cursor: null, [by.value]: wanted || null }, { replace: false });
  }

  return (
    <form class="search" role="search" onSubmit={submit}>
      <select
        aria-label={t("gallery.searchBy")}
        value={by.value}
        onChange={(event) => (by.value = event.currentTarget.value as "batch" | "key")}
      >
        <option value="batch">{t("gallery.batch")}</option>
        <option value="key">{t("gallery.key")}</option>
      </select>
      <input
        key={`${by.value} ${text}`}
        type="search"
        name="text"
        defaultValue={text}
        aria-label={t(`gallery.${by.value}`)}
        placeholder={t(`gallery.${by.value}.example`)}
        spellcheck={false}
      />
      <Button kind="quiet" type="submit" icon="search" label={t("gallery.search")} />
    </form>
  );
}

/** Return the number of images by state, of the whole system or of a batch, counted again after changes. */
function useCounts(batch: string | null): Partial<Record<Status, number>> | undefined {
  const counts = useResource((signal) => fetchCounts(batch, signal), [batch]);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const recount = (): void => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      counts.reload();
    }, RECOUNT_MS);
  };
  useChanges(recount, recount);
  useEffect(() => () => clearTimeout(timer.current), []);
  return counts.data.value;
}

async function fetchCounts(batch: string | null, signal: AbortSignal): Promise<Partial<Record<Status, number>>> {
  if (!batch) return (await body(client.GET("/api/v1/summary", { signal }))).counts;
  const path = { batch };
  return (await body(client.GET("/api/v1/batches/{batch}", { params: { path }, signal }))).counts;
}

