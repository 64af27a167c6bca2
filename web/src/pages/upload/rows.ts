/** The rows of the upload page: one for each file, from its choice to its thumbnail. Pure. */

import type { Image } from "../../api/client";

export type Phase =
  | "queued"
  | "uploading"
  | "paused"
  /** The upload failed and is tried again by itself. */
  | "waiting"
  /** The upload failed; a person decides. */
  | "stopped"
  /** Kept over a reload, but too large to be kept with its bytes: it has to be chosen again. */
  | "missing"
  /** Not sent: too large, empty, or no image. */
  | "rejected"
  /** In the bucket: from here on the image's own state counts. */
  | "stored";

export interface Row {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly phase: Phase;
  readonly sent: number;
  /** Bytes a second. */
  readonly speed: number;
  readonly imageId: string | null;
  readonly image: Image | null;
  /** A code of this page or of the API, for `stopped`, `waiting` and `rejected`. */
  readonly problem: string | null;
}

export type Outcome = "uploading" | "processing" | "done" | "failed";

const ENDED = { DONE: "done", FAILED: "failed", EXPIRED: "failed", DELETED: "failed" } as const;

export function newRow(id: string, name: string, size: number, change: Partial<Row> = {}): Row {
  const start = { phase: "queued", sent: 0, speed: 0, imageId: null, image: null, problem: null } as const;
  return { id, name, size, ...start, ...change };
}

/** Return what the row counts as in the batch's bar. */
export function outcomeOf(row: Row): Outcome {
  if (row.phase === "rejected" || row.phase === "stopped" || row.phase === "missing") return "failed";
  if (row.phase !== "stored") return "uploading";
  return ENDED[row.image?.status as keyof typeof ENDED] ?? "processing";
}

export interface Totals extends Record<Outcome, number> {
  total: number;
  bytes: number;
  sent: number;
}

export function totalsOf(rows: Iterable<Row>): Totals {
  const totals: Totals = { total: 0, uploading: 0, processing: 0, done: 0, failed: 0, bytes: 0, sent: 0 };
  for (const row of rows) {
    totals.total += 1;
    totals[outcomeOf(row)] += 1;
    if (row.phase === "rejected") continue;
    totals.bytes += row.size;
    totals.sent += row.phase === "stored" ? row.size : row.sent;
  }
  return totals;
}

/** Return the image's id in an object key `uploads/<id>/original`. */
export function imageIdOf(key: string): string | null {
  return /^uploads\/([0-9a-f-]{36})\/original$/.exec(key)?.[1] ?? null;
}

/** What a person can do about a problem of the connection or of the gateway. */
export interface Failure {
  code: string;
  /** Whether trying again may help without anybody's doing. */
  transient: boolean;
  /** Whether the store does not know the multipart upload any more, so that it has to start over. */
  gone: boolean;
}

const STATUSES: readonly [pattern: RegExp, code: string, transient: boolean][] = [
  [/unauthorized/i, "unauthorized", false],
  [/forbidden/i, "forbidden", false],
  [/not found/i, "upload_gone", false],
  [/\bgone\b/i, "upload_gone", false],
  [/content too large|entity too large/i, "file_too_large", false],
  [/unsupported media type/i, "unsupported_format", false],
  [/unprocessable/i, "invalid_request", false],
  [/too many requests/i, "busy", true],
  [/service unavailable|bad gateway|gateway time-?out|internal server error/i, "busy", true],
];

/** Return what failed. Uppy passes on only the reason phrase of a response, or the status of one of MinIO's. */
export function failureOf(message: string, status: number | null, multipart: boolean): Failure {
  const known = STATUSES.find(([pattern]) => pattern.test(message));
  let [code, transient] = known ? [known[1], known[2]] : ["connection", true];
  if (status !== null && status >= 400 && status < 500 && status !== 429) [code, transient] = ["store_refused", false];
  const gone = multipart && (code === "upload_gone" || status === 404);
  return { code: gone ? "upload_gone" : code, transient: transient || gone, gone };
}

/** Return the time until try number `attempt`: 1, 2, 4, … 30 seconds. */
export function retryDelay(attempt: number): number {
  return Math.min(1000 * 2 ** (attempt - 1), 30_000);
}

const SMOOTHING = 0.3; // weight of the newest of the measurements, some ten a second

/** Return the speed after another measurement, in bytes a second. */
export function speedOf(before: number, bytes: number, milliseconds: number): number {
  if (milliseconds <= 0 || bytes < 0) return before;
  const now = (bytes / milliseconds) * 1000;
  return before ? before + SMOOTHING * (now - before) : now;
}
