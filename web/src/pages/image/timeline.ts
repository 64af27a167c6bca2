/**
 * The timeline of an image: its events as steps, with the times between them and the sources that reported each.
 *
 * Pure. An object's creation is announced twice by MinIO, once to each of its two targets: both are one step with two
 * sources. Times come from the clocks of several machines, so a step can seem to precede its cause: no duration is
 * ever negative, and such a step is marked.
 */

import type { TimelineEvent } from "../../api/client";

/** A source of an event, and how long after the event the status tracker recorded it. */
export interface Source {
  name: string;
  recorded: string;
  delayMs: number;
}

export type Tone = "neutral" | "active" | "good" | "bad" | "warning";

export interface Step {
  /** Type of the event, or `storage.created` and `storage.removed` for the bucket's. */
  kind: string;
  tone: Tone;
  occurred: string;
  /** Time since the step before; null for the first. */
  sinceMs: number | null;
  /** Whether the clocks of two machines disagree about the order of this step and the one before. */
  skewed: boolean;
  sources: Source[];
  /** Object that the event is about, if it is another one than before: a new generation. */
  newObject: boolean;
  attempt: number | null;
  /** Whether a person or a repair caused this run, not the upload. */
  requestedRun: boolean;
  /** What a person needs to know: reason, code, operator and the like; the page gives each a label. */
  details: Partial<Record<Detail, string>>;
  event: TimelineEvent;
}

export type Detail = "reason" | "code" | "operator" | "queue" | "drift" | "missing" | "next_attempt_at" | "forced" | "expires_at";

const TONES: Record<string, Tone> = {
  "image.processing": "active",
  "image.retrying": "warning",
  "image.done": "good",
  "image.failed": "bad",
  "tracker.repaired": "warning",
  "tracker.rejected": "bad",
  "image.variants_missing": "warning",
};

/** Return the steps of an image, oldest first. */
export function stepsOf(events: readonly TimelineEvent[]): Step[] {
  const steps: Step[] = [];
  let object: string | null = null;
  for (const event of ordered(events)) {
    const twin = steps.find((step) => isTwin(step.event, event));
    if (twin) {
      twin.sources.push(sourceOf(event));
      twin.sources.sort((one, other) => one.recorded.localeCompare(other.recorded));
      continue;
    }
    const kind = kindOf(event.type);
    const before = steps.at(-1);
    const since = before ? Date.parse(event.occurred) - Date.parse(before.occurred) : null;
    const data = event.data ?? {};
    steps.push({
      kind,
      tone: TONES[kind] ?? "neutral",
      occurred: event.occurred,
      sinceMs: since === null ? null : Math.max(0, since),
      skewed: since !== null && since < 0,
      sources: [sourceOf(event)],
      newObject: kind === "storage.created" && object !== null && event.object_version !== object,
      attempt: typeof data["attempt"] === "number" ? data["attempt"] : null,
      requestedRun: Boolean(data["run_id"]),
      details: detailsOf(data),
      event,
    });
    if (kind === "storage.created") object = event.object_version ?? null;
  }
  return steps;
}

/** Durations of the last run: in the queue, in the thumbnailer, and from the upload to the end. */
export interface Durations {
  waitedMs: number | null;
  processedMs: number | null;
  totalMs: number | null;
}

/** Return how long the last run took; what has not happened yet is null. */
export function durationsOf(steps: readonly Step[]): Durations {
  const end = steps.findLastIndex((step) => step.kind === "image.done" || step.kind === "image.failed");
  const ended = steps[end];
  const run = ended?.event.data?.["run_id"] ?? steps.at(-1)?.event.data?.["run_id"] ?? "";
  const started = steps.find((step) => step.kind === "image.processing" && (step.event.data?.["run_id"] ?? "") === run);
  const cause = steps.findLast(
    (step) => isCause(step, String(run)) && (!started || Date.parse(step.occurred) <= Date.parse(started.occurred)),
  );
  return {
    waitedMs: between(cause, started),
    processedMs: between(started, ended),
    totalMs: between(cause, ended),
  };
}

/** The cause of a run: the upload for the first one, else the event that requested it. */
function isCause(step: Step, run: string): boolean {
  if (!run) return step.kind === "storage.created";
  return step.kind !== "image.processing" && step.event.data?.["run_id"] === run && step.attempt === null;
}

function between(from: Step | undefined, to: Step | undefined): number | null {
  return from && to ? Math.max(0, Date.parse(to.occurred) - Date.parse(from.occurred)) : null;
}

/**
 * Order by the time of the event. Two machines' clocks can differ: what the thumbnailer says about an object never
 * precedes the announcement of that object.
 */
function ordered(events: readonly TimelineEvent[]): TimelineEvent[] {
  const sorted = [...events].sort((one, other) => one.occurred.localeCompare(other.occurred));
  const result: TimelineEvent[] = [];
  for (const event of sorted) {
    const early = kindOf(event.type) === "storage.created" ? result.findIndex((one) => isResult(one, event)) : -1;
    if (early >= 0 && !result.some((one) => isTwin(one, event))) result.splice(early, 0, event);
    else result.push(event);
  }
  return result;
}

function isResult(event: TimelineEvent, cause: TimelineEvent): boolean {
  return event.type.startsWith("image.") && Boolean(event.object_version) && event.object_version === cause.object_version;
}

/** MinIO's two targets announce the same thing: the sequencer names it. */
function isTwin(one: TimelineEvent, other: TimelineEvent): boolean {
  return (
    one.type.startsWith("storage.") &&
    one.type === other.type &&
    one.recorded_by !== other.recorded_by &&
    one.data?.["sequencer"] === other.data?.["sequencer"]
  );
}

function kindOf(type: string): string {
  if (type.startsWith("storage.ObjectCreated")) return "storage.created";
  if (type.startsWith("storage.ObjectRemoved")) return "storage.removed";
  return type;
}

function sourceOf({ recorded_by, recorded, occurred }: TimelineEvent): Source {
  return { name: recorded_by, recorded, delayMs: Math.max(0, Date.parse(recorded) - Date.parse(occurred)) };
}

function detailsOf(data: Record<string, unknown>): Step["details"] {
  const error = data["error"] as { code?: string; detail?: string } | undefined;
  const details: Step["details"] = {};
  const put = (name: Detail, value: unknown): void => {
    if (typeof value === "string" && value) details[name] = value;
  };
  put("reason", error?.detail ?? data["reason"]);
  put("code", error?.code ?? data["code"]);
  for (const name of ["operator", "queue", "drift", "next_attempt_at", "expires_at"] as const) put(name, data[name]);
  if (data["forced"]) details.forced = "true";
  const missing = data["missing"];
  if (Array.isArray(missing) && missing.length) details.missing = missing.map(baseName).join(", ");
  return details;
}

/** Return the name of a variant by its key: `<image>/<content>/thumbnail.jpg` is `thumbnail`. */
function baseName(key: unknown): string {
  return String(key).split("/").at(-1)?.replace(/\.\w+$/, "") ?? "";
}
