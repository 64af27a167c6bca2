import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { body, client } from "../../api/client";
import { toProblem, type Problem } from "../../api/problem";
import { GATEWAY_URL } from "../../base";
import { Button, Code, EmptyState, ErrorState, Page, shownStatus, Skeleton, StatusChip } from "../../components";
import { formatTime, t } from "../../i18n";
import { type Change, held, isNewer, pause, paused, resume, useChanges } from "../../live";
import { CHANGE_TYPES } from "../../live/messages";
import { Link, query, setQuery } from "../../router";
import { nameOf } from "../gallery/Grid";
import { addChange, curlOf, earlierId, type Filter, MAX_LINES, parametersOf, passes } from "./log";
import "./events.css";

const EARLIER = 200; // changes shown at the start

export default function Events(): JSX.Element {
  const filter = readFilter();
  const lines = useSignal<readonly Change[]>([]);
  const problem = useSignal<Problem | null>(null);
  const loading = useSignal(true);

  async function load(): Promise<void> {
    problem.value = null;
    loading.value = true;
    try {
      let known = lines.value;
      for (const change of await fetchEarlier(filter)) known = addChange(known, change);
      lines.value = [...known].sort((one, other) => (isNewer(other.id, one.id) ? 1 : -1)).slice(0, MAX_LINES);
    } catch (failure) {
      problem.value = toProblem(failure);
    }
    loading.value = false;
  }

  useEffect(() => {
    lines.value = [];
    void load();
  }, [parametersOf(filter).toString()]);
  useChanges((change) => (lines.value = addChange(lines.value, change)), () => void load());

  const shown = lines.value.filter((change) => passes(change, filter));
  return (
    <Page
      title={t("events.title")}
      lead={t("events.lead")}
      actions={
        <Button icon={paused.value ? "play" : "pause"} onClick={() => (paused.value ? resume() : pause())}>
          {paused.value ? t("events.resume", { count: held.value }) : t("live.pause")}
        </Button>
      }
    >
      <Controls filter={filter} />
      {problem.value && <ErrorState problem={problem.value} onRetry={() => void load()} />}
      {shown.length ? (
        <ol class="log" aria-label={t("events.title")} tabIndex={0}>
          {shown.map((change) => (
            <Line key={change.id} change={change} />
          ))}
        </ol>
      ) : loading.value ? (
        <Skeleton lines={6} />
      ) : (
        !problem.value && (
          <EmptyState
            icon="events"
            title={t("events.none")}
            hint={t("events.none.hint")}
            command={`curl -F file=@photo.jpg ${GATEWAY_URL}/api/v1/images`}
          />
        )
      )}
    </Page>
  );
}

function Line({ change }: { change: Change }): JSX.Element {
  const { data: image } = change;
  return (
    <li class="log-line">
      <time class="log-time" dateTime={change.timestamp} title={formatTime(new Date(change.timestamp), true)}>
        {clockOf(change.timestamp)}
      </time>
      <StatusChip status={change.type === "image.retrying" ? "RETRYING" : shownStatus(image)} subtle />
      <Link class="log-name" to={`/images/${image.id}`}>
        {nameOf(image)}
      </Link>
      <span class="log-more">
        {image.error && <code>{image.error.code}</code>}
        {image.batch && <Link to={`/events?batch=${encodeURIComponent(image.batch)}`}>{image.batch}</Link>}
        <code class="muted">{change.id}</code>
      </span>
    </li>
  );
}

function Controls({ filter }: { filter: Filter }): JSX.Element {
  function toggle(type: string): void {
    const types = filter.types.includes(type) ? filter.types.filter((one) => one !== type) : [...filter.types, type];
    setQuery({ type: types });
  }

  return (
    <div class="log-controls">
      <fieldset class="log-types">
        <legend class="visually-hidden">{t("events.types")}</legend>
        {CHANGE_TYPES.map((type) => (
          <label key={type} class="log-type">
            <input type="checkbox" checked={filter.types.includes(type)} onChange={() => toggle(type)} />
            {t(`status.${statusOf(type)}`)}
          </label>
        ))}
      </fieldset>
      <form
        class="search"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          setQuery({ batch: String(new FormData(event.currentTarget).get("batch") ?? "").trim() || null });
        }}
      >
        <input
          key={filter.batch ?? ""}
          type="search"
          name="batch"
          defaultValue={filter.batch ?? ""}
          aria-label={t("gallery.batch")}
          placeholder={t("gallery.batch")}
          spellcheck={false}
        />
        <Button kind="quiet" type="submit" icon="search" label={t("gallery.search")} />
      </form>
      <div class="log-curl">
        <span class="muted small">{t("events.curl")}</span>
        <Code text={curlOf(GATEWAY_URL, filter)} />
      </div>
    </div>
  );
}

type ShownStatus = "AWAITING_UPLOAD" | "PENDING" | "PROCESSING" | "RETRYING" | "DONE" | "FAILED" | "EXPIRED" | "DELETED";

function statusOf(type: string): ShownStatus {
  return type.replace("image.", "").toUpperCase() as ShownStatus;
}

/** Return the time of day with milliseconds, as logs show it. */
function clockOf(at: string): string {
  const time = new Date(at);
  const pad = (value: number, length = 2): string => String(value).padStart(length, "0");
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${pad(time.getMilliseconds(), 3)}`;
}

function readFilter(): Filter {
  const { value } = query;
  return { types: value.getAll("type"), batch: value.get("batch"), image: value.get("image") };
}

/** Fetch the latest changes before now, oldest first. */
async function fetchEarlier({ types, batch }: Filter): Promise<Change[]> {
  const filter = { ...(types.length && { type: [...types] }), ...(batch && { batch }) };
  const head = (await body(client.GET("/api/v1/changes", { params: { query: {} } }))).next;
  const query = { after: earlierId(head, EARLIER), limit: EARLIER, ...filter } as { after: string };
  return (await body(client.GET("/api/v1/changes", { params: { query } }))).items;
}
