/**
 * The uploads of this tab. They go on while other pages of the console are shown.
 *
 * Uppy sends the files: up to 5 MiB by a form, larger ones in parts that are continued after a pause, a failure or a
 * reload. When a file is in the bucket, its row follows the image: by the feed of changes, and by asking for it where
 * the feed is silent.
 */

import { computed, effect, signal, type Signal } from "@preact/signals";
import GoldenRetriever from "@uppy/golden-retriever";
import AwsS3 from "@uppy/aws-s3";
import Uppy, { type UppyFile } from "@uppy/core";

import { announce } from "../../announce";
import { body, client } from "../../api/client";
import { apiUrl } from "../../base";
import { t } from "../../i18n";
import { type Change, connection, subscribe } from "../../live";
import { type Chosen, contentTypeOf, findFault, type Limits } from "./files";
import { failureOf, imageIdOf, newRow, outcomeOf, retryDelay, type Row, speedOf, totalsOf } from "./rows";

type Meta = { batch: string; size: string; idempotency_key: string; [name: string]: unknown };
type Body = { key: string; location: string };
type UploadFile = UppyFile<Meta, Body>;

const MIB = 2 ** 20;
const PART_BYTES = 5 * MIB; // the smallest part that S3 takes, so that little is sent again
const CONCURRENT_FILES = 4; // of a browser's six connections; the stream and the requests to the API need one each
const KEPT_MS = 24 * 3600 * 1000; // as long as MinIO keeps the parts of an unfinished upload
const MAX_RETRIES = 8; // some two minutes
const BATCH = "thumbmill.batch"; // in sessionStorage
const ASK_MS = 2_000; // a row without a change is asked for this often

const rowsById = new Map<string, Signal<Row>>();
const order = signal<readonly string[]>([]);
const attempts = new Map<string, number>();
const measured = new Map<string, { at: number; sent: number }>();

/** The rows, newest files first. */
export const rows = computed(() => order.value.map((id) => rowsById.get(id)!));

export const totals = computed(() => totalsOf(rows.value.map((row) => row.value)));

/** Files in dropped folders that were left out, because they are no images. */
export const leftOut = signal(0);

/** The label of this tab's uploads. It stays over a reload, by which their rows are found again. */
export const batch = signal(sessionStorage.getItem(BATCH) ?? newBatch());

/** What can be uploaded; null until it is known. */
export const limits = signal<Limits | null>(null);

let rejected = 0;
let uppy: Promise<Uppy<Meta, Body>> | null = null;

/** Get ready: find out the limits, and continue what a reload interrupted. */
export function start(): Promise<Uppy<Meta, Body>> {
  return (uppy ??= create());
}

/** Upload files that a person chose. */
export async function addFiles(chosen: readonly Chosen[]): Promise<void> {
  const [uploader, allowed] = await Promise.all([start(), knownLimits()]);
  for (const { file, fromFolder } of chosen) {
    const fault = findFault(file, allowed);
    if (fault && fromFolder) leftOut.value += 1;
    else if (fault) show(newRow(`rejected:${(rejected += 1)}`, file.name, file.size, { phase: "rejected", problem: fault }));
    else add(uploader, file, contentTypeOf(file, allowed)!);
  }
  sync(uploader);
}

function add(uploader: Uppy<Meta, Body>, file: File, type: string): void {
  // With its key a file that is sent again, after a lost response or a reload, is the same image.
  const meta = { batch: batch.value, size: String(file.size), idempotency_key: newKey() };
  try {
    uploader.addFile({ name: file.name, type, data: file, source: "console", meta });
  } catch (error) {
    uploader.log(String(error)); // chosen twice: its row is there
  }
}

export async function togglePause(id: string): Promise<void> {
  const uploader = await start();
  const paused = uploader.pauseResume(id);
  if (paused !== undefined) change(id, { phase: paused ? "paused" : "uploading", speed: 0 });
}

export async function pauseAll(pause: boolean): Promise<void> {
  for (const row of rows.value) {
    const { id, phase } = row.value;
    if (phase === (pause ? "uploading" : "paused")) await togglePause(id);
  }
}

/** Upload a file again whose upload stopped, or have a FAILED image processed again. */
export async function retry(row: Row): Promise<void> {
  if (row.phase === "stored") {
    const call = client.POST("/api/v1/images/{image_id}/retry", { params: { path: { image_id: row.imageId! } } });
    await body(call);
    await ask(row.id);
    return;
  }
  attempts.delete(row.id);
  await retryNow(row.id);
}

/** Cancel an unfinished upload and remove its row. The image of a finished one stays. */
export async function remove(id: string): Promise<void> {
  const uploader = await start();
  forget([id]);
  if (uploader.getFile(id)) uploader.removeFile(id);
}

/** Remove the rows of what is done or failed. */
export async function clearEnded(): Promise<void> {
  const ended = rows.value.map((row) => row.value).filter((row) => ["done", "failed"].includes(outcomeOf(row)));
  for (const row of ended) await remove(row.id);
  leftOut.value = 0;
  if (!order.value.length) batch.value = newBatch();
}

async function create(): Promise<Uppy<Meta, Body>> {
  void knownLimits();
  void showEarlier();
  const uploader = new Uppy<Meta, Body>({ id: "thumbmill", autoProceed: true, allowMultipleUploadBatches: true });
  uploader.on("file-added", (file) => show(rowOf(file)));
  uploader.on("upload-start", (files) => files.forEach((file) => change(file.id, { phase: "uploading", problem: null })));
  uploader.on("upload-progress", (file, progress) => file && measure(file.id, progress.bytesUploaded || 0));
  uploader.on("upload-success", (file, response) => file && void stored(file.id, response.body?.key ?? ""));
  uploader.on("upload-error", (file, error) => file && void failed(uploader, file.id, error));
  uploader.on("complete", (result) => uploader.removeFiles((result.successful ?? []).map((file) => file.id)));
  uploader.on("restored", () => restore(uploader));
  if (await ownStore()) {
    // maxFileSize and maxTotalSize are options of its store, which its types do not mention.
    const indexedDB = { maxFileSize: 200 * MIB, maxTotalSize: 2048 * MIB } as Record<string, unknown>;
    uploader.use(GoldenRetriever, { expires: KEPT_MS, indexedDB });
  }
  uploader.use(AwsS3, {
    companionEndpoint: apiUrl("/api/v1"),
    shouldUseMultipart: (file) => (file.size ?? 0) > PART_BYTES,
    getChunkSize: () => PART_BYTES,
    limit: CONCURRENT_FILES,
  });
  subscribe(apply, () => void askAll(0));
  setInterval(() => void askAll(ASK_MS), ASK_MS);
  addEventListener("beforeunload", (event) => totals.value.uploading > 0 && event.preventDefault());
  effect(announceTotals);
  effect(() => sessionStorage.setItem(BATCH, batch.value));
  return uploader;
}

/** Show what this tab uploaded before a reload. */
async function showEarlier(): Promise<void> {
  if (!sessionStorage.getItem(BATCH)) return;
  const call = client.GET("/api/v1/images", { params: { query: { batch: batch.value, limit: 200 } } });
  const page = await body(call).catch(() => null); // the page works without them
  for (const image of page?.items.toReversed() ?? []) {
    if (image.status === "AWAITING_UPLOAD" || image.status === "EXPIRED") continue; // Uppy has its file
    if (rows.peek().some((row) => row.peek().imageId === image.id)) continue;
    const name = image.file_name ?? t("common.unknownFile");
    show(newRow(`image:${image.id}`, name, image.bytes ?? 0, { phase: "stored", imageId: image.id, image }));
  }
}

/** Only one tab keeps files over a reload: two would continue the same uploads. */
function ownStore(): Promise<boolean> {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const patience = AbortSignal.timeout(1_000); // the page before a reload may still hold the lock
    navigator.locks
      .request("thumbmill.uploads", { signal: patience }, () => {
        resolve(true);
        return new Promise<never>(() => {}); // until the tab is closed
      })
      .catch(() => resolve(false));
  });
}

function restore(uploader: Uppy<Meta, Body>): void {
  const finished = uploader.getFiles().filter((file) => file.progress.uploadComplete);
  uploader.removeFiles(finished.map((file) => file.id));
  sync(uploader);
  if (uploader.getFiles().some((file) => !file.isGhost)) uploader.emit("restore-confirmed");
}

/** Show a row for each file that Uppy has. */
function sync(uploader: Uppy<Meta, Body>): void {
  for (const file of uploader.getFiles()) {
    const row = rowsById.get(file.id);
    if (!row) show(rowOf(file));
    else if (row.value.phase === "missing" && !file.isGhost) change(file.id, { phase: "queued" });
  }
}

function rowOf(file: UploadFile): Row {
  const sent = Number(file.progress.bytesUploaded) || 0;
  return newRow(file.id, file.name ?? t("common.unknownFile"), file.size ?? 0, { sent, phase: file.isGhost ? "missing" : "queued" });
}

function show(row: Row): void {
  const known = rowsById.get(row.id);
  if (known) known.value = row;
  else rowsById.set(row.id, signal(row));
  if (!known) order.value = [row.id, ...order.value];
}

function change(id: string, patch: Partial<Row>): void {
  const row = rowsById.get(id);
  if (row) row.value = { ...row.value, ...patch };
}

function forget(ids: readonly string[]): void {
  order.value = order.value.filter((id) => !ids.includes(id));
  for (const id of ids) rowsById.delete(id);
}

function measure(id: string, sent: number): void {
  const row = rowsById.get(id)?.value;
  const now = performance.now();
  const before = measured.get(id) ?? { at: now, sent };
  measured.set(id, { at: now, sent });
  if (row?.phase === "uploading") change(id, { sent, speed: speedOf(row.speed, sent - before.sent, now - before.at) });
}

async function stored(id: string, key: string): Promise<void> {
  attempts.delete(id);
  measured.delete(id);
  change(id, { phase: "stored", imageId: imageIdOf(key), problem: null });
  await ask(id);
}

async function failed(uploader: Uppy<Meta, Body>, id: string, error: Error & { request?: XMLHttpRequest }): Promise<void> {
  const file = uploader.getFile(id) as (UploadFile & { s3Multipart?: object }) | undefined;
  const failure = failureOf(error.message, error.request?.status || null, Boolean(file?.s3Multipart));
  // Uppy would ask for the parts of the lost upload at each retry.
  if (failure.gone) uploader.setFileState(id, { s3Multipart: undefined } as Partial<UploadFile>);
  const attempt = (attempts.get(id) ?? 0) + 1;
  if (!failure.transient || attempt > MAX_RETRIES) return change(id, { phase: "stopped", problem: failure.code, speed: 0 });
  attempts.set(id, attempt);
  change(id, { phase: "waiting", problem: failure.code, speed: 0 });
  setTimeout(() => void retryNow(id), retryDelay(attempt));
}

async function retryNow(id: string): Promise<void> {
  const uploader = await start();
  const phase = rowsById.get(id)?.value.phase;
  if (!uploader.getFile(id) || (phase !== "waiting" && phase !== "stopped")) return;
  change(id, { phase: "queued", problem: null });
  await uploader.retryUpload(id).catch(() => undefined); // its event has changed the row
}

/** Apply a change of the feed to the row of its image. */
function apply(received: Change): void {
  for (const row of rows.peek()) {
    if (row.peek().imageId === received.data.id) row.value = { ...row.peek(), image: received.data };
  }
}

async function ask(id: string): Promise<void> {
  const imageId = rowsById.get(id)?.peek().imageId;
  if (!imageId) return;
  const call = client.GET("/api/v1/images/{image_id}", { params: { path: { image_id: imageId } } });
  const image = await body(call).catch(() => null);
  const known = rowsById.get(id)?.peek().image;
  if (image && (!known || image.version >= known.version)) change(id, { image });
}

let askedAt = 0;

/** Ask for the images without an end, unless the feed is live and was asked for not long ago. */
async function askAll(silence: number): Promise<void> {
  const open = rows.peek().map((row) => row.peek()).filter((row) => row.imageId && outcomeOf(row) === "processing");
  const patience = connection.peek().state === "live" ? 5 * silence : silence;
  if (!open.length || Date.now() - askedAt < patience * 0.9) return;
  askedAt = Date.now();
  for (const row of open.slice(-20)) await ask(row.id);
}

async function knownLimits(): Promise<Limits> {
  return (limits.value ??= await body(client.GET("/api/v1/limits")));
}

function announceTotals(): void {
  const { total, done, failed, uploading, processing } = totals.value;
  if (!total || (uploading + processing && !done && !failed)) return;
  announce(t("upload.announce", { done, failed, total }));
}

function newKey(): string {
  // Not crypto.randomUUID(), which pages over plain HTTP do not have.
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

function newBatch(): string {
  const now = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  return `web-${now}-${crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36).padStart(4, "0").slice(-4)}`;
}
