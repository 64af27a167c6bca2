/** What the stream, the poll and the other tabs of this browser report, in one form. */

import type { Schemas } from "../api/client";

/** A change of an image: `data` is the image as `GET /api/v1/images/{id}` returned it at that change. */
export type Change = Schemas["ChangeOut"];

/** How changes arrive. */
export type Mode = "connecting" | "stream" | "polling" | "offline";

export type Message =
  | { kind: "change"; change: Change }
  /** Changes before this position are not available: fetch again what is shown. */
  | { kind: "reset"; id: string }
  /** The stream is alive: its position, and how far the status tracker is behind, in seconds. */
  | { kind: "heartbeat"; id: string; lag: number }
  | { kind: "mode"; mode: Mode };

/** The names of the stream's events that carry a change. */
export const CHANGE_TYPES = [
  "image.awaiting_upload",
  "image.pending",
  "image.processing",
  "image.retrying",
  "image.done",
  "image.failed",
  "image.expired",
  "image.deleted",
] as const;

/** Return whether a change is newer than what is known of its image; ids are `<epoch>-<seq>`. */
export function isNewer(id: string, known: string | null | undefined): boolean {
  if (!known) return true;
  const [epoch, seq] = split(id);
  const [knownEpoch, knownSeq] = split(known);
  return epoch !== knownEpoch || seq > knownSeq;
}

function split(id: string): [string, number] {
  const dash = id.lastIndexOf("-");
  return [id.slice(0, dash), Number(id.slice(dash + 1))];
}
