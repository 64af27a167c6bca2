/**
 * One connection to the feed of changes: an EventSource, or a long poll where a proxy holds the stream back.
 *
 * It goes on by itself after every failure, and resumes after the last change that it has reported.
 */

import { apiUrl } from "../base";
import { watchUnauthorized } from "../api/session";
import type { Schemas } from "../api/client";
import { CHANGE_TYPES, type Message, type Mode } from "./messages";

const HELLO_MS = 5_000; // a stream whose first event takes longer is being held back
const SILENCE_MS = 35_000; // two heartbeats of 15 s, and some delay
const POLL_WAIT_SECONDS = 20;
const STREAM_AGAIN_MS = 300_000; // after this time of polling the stream is tried again
const MAX_BACKOFF_MS = 15_000;

export class Feed {
  #source: EventSource | null = null;
  #polling: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastId: string | null;
  #lastEventAt = 0;
  #failures = 0;
  #closed = false;

  constructor(
    lastId: string | null,
    private readonly report: (message: Message) => void,
  ) {
    this.#lastId = lastId;
    this.#openStream();
  }

  /** Connect again at once if the connection may be dead: after sleep, after a network change. */
  check(): void {
    const silent = Date.now() - this.#lastEventAt > SILENCE_MS / 2;
    if (!this.#closed && (silent || !this.#source)) this.#openStream();
  }

  close(): void {
    this.#closed = true;
    this.#disconnect();
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.#polling?.abort();
    this.#polling = null;
  }

  #after(milliseconds: number, action: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, milliseconds);
  }

  #mode(mode: Mode): void {
    this.report({ kind: "mode", mode });
  }

  #openStream(): void {
    this.#disconnect();
    const after = this.#lastId ? `?last_event_id=${encodeURIComponent(this.#lastId)}` : "";
    const source = (this.#source = new EventSource(apiUrl(`/api/v1/stream${after}`)));
    let greeted = false;
    this.#after(HELLO_MS, () => void this.#poll());

    const alive = (): void => {
      this.#lastEventAt = Date.now();
      this.#failures = 0;
      this.#after(SILENCE_MS, () => this.#openStream());
    };
    source.addEventListener("hello", (event) => {
      greeted = true;
      alive();
      this.#mode("stream");
      this.#heartbeat(event.lastEventId || this.#lastId || "", event.data);
    });
    source.addEventListener("heartbeat", (event) => {
      alive();
      this.#heartbeat(event.lastEventId || this.#lastId || "", event.data);
    });
    source.addEventListener("reset", (event) => {
      alive();
      this.#lastId = event.lastEventId || this.#lastId;
      this.report({ kind: "reset", id: this.#lastId ?? "" });
    });
    for (const type of CHANGE_TYPES) {
      source.addEventListener(type, (event) => {
        alive();
        this.#lastId = event.lastEventId;
        this.report({ kind: "change", change: JSON.parse(event.data) });
      });
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.#retry(); // an HTTP error: the browser gives up
      else if (greeted) this.#mode("connecting"); // the browser reconnects with Last-Event-ID
    };
  }

  #heartbeat(id: string, data: string): void {
    this.#lastId ??= id || null;
    const { lag_s: lag } = JSON.parse(data || "{}") as { lag_s?: number | null };
    this.report({ kind: "heartbeat", id, lag: lag ?? 0 });
  }

  #retry(): void {
    this.#disconnect();
    this.#failures += 1;
    this.#mode(this.#failures > 1 ? "offline" : "connecting");
    void this.#noticeLogin();
    this.#after(Math.min(1000 * 2 ** this.#failures, MAX_BACKOFF_MS) * (0.5 + Math.random()), () => this.#openStream());
  }

  /** An EventSource does not tell the status of its failure: ask once whether a login is needed. */
  async #noticeLogin(): Promise<void> {
    const onUnauthorized = watchUnauthorized();
    const response = await fetch(apiUrl("/api/v1/images?limit=1")).catch(() => null);
    if (response?.status === 401) onUnauthorized();
  }

  async #poll(): Promise<void> {
    this.#disconnect();
    const polling = (this.#polling = new AbortController());
    const until = Date.now() + STREAM_AGAIN_MS;
    while (!polling.signal.aborted && Date.now() < until) {
      try {
        await this.#fetchChanges(polling.signal);
        this.#failures = 0;
        this.#mode("polling");
      } catch {
        if (!polling.signal.aborted) this.#retry();
        return;
      }
    }
    if (!polling.signal.aborted) this.#openStream();
  }

  async #fetchChanges(signal: AbortSignal): Promise<void> {
    const after = this.#lastId ? `?after=${encodeURIComponent(this.#lastId)}` : "";
    const headers = this.#lastId ? { Prefer: `wait=${POLL_WAIT_SECONDS}` } : undefined;
    const response = await fetch(apiUrl(`/api/v1/changes${after}`), { signal, ...(headers && { headers }) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const page = (await response.json()) as Schemas["ChangePage"];
    this.#lastEventAt = Date.now();
    if (page.reset) this.report({ kind: "reset", id: page.next });
    for (const change of page.items) this.report({ kind: "change", change });
    this.#lastId = page.next;
    this.report({ kind: "heartbeat", id: page.next, lag: page.lag_s ?? 0 });
  }
}
