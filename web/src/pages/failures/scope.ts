/** Failures by code and time, and the exact scope of a redrive. Pure. */

import type { Schemas } from "../../api/client";

export type FailureCount = Schemas["FailureCount"];
export type RedriveScope = Partial<Schemas["RedriveScope"]>;
export type RedrivePreview = Schemas["RedrivePreview"];

/** The windows of time that failures are counted in. */
export const WINDOWS = { "1h": 3_600, "24h": 86_400, "7d": 604_800 } as const;
export type Window = keyof typeof WINDOWS;

const FIELDS = { "1h": "last_hour", "24h": "last_day", "7d": "last_week" } as const;

export interface Group {
  code: FailureCount["code"];
  meaning: string;
  retryable: boolean;
  images: number;
}

/** Return the window that the address names, or the default. */
export function windowOf(text: string | null): Window {
  return text !== null && text in WINDOWS ? (text as Window) : "24h";
}

/** Return the codes with failures in the window, most frequent first. */
export function groupsOf(failures: readonly FailureCount[], window: Window): Group[] {
  return failures
    .map(({ code, meaning, retryable, ...counts }) => ({ code, meaning, retryable, images: counts[FIELDS[window]] }))
    .filter((group) => group.images > 0)
    .sort((one, other) => other.images - one.images || one.code.localeCompare(other.code));
}

/** Return the start of a window, as the API takes it. */
export function sinceOf(window: Window, now: number): string {
  return new Date(now - WINDOWS[window] * 1000).toISOString();
}

/** What a redrive will do and what it leaves out. Each count is of images. */
export interface Consequences {
  images: number;
  codes: { code: string; images: number }[];
  /** Left out because the same bytes would fail again. */
  notRetryable: { code: string; images: number }[];
  /** Failed in the same window, with a code that was not chosen. */
  otherCodes: number;
  /** Chosen one by one, and no longer FAILED. */
  notFailed: number;
  /** How long it takes at the given rate, at least. */
  seconds: number;
}

/** Return the consequences by the preview of the API and by all failures of the window. */
export function consequencesOf(preview: RedrivePreview, scope: RedriveScope, groups: readonly Group[]): Consequences {
  const chosen = new Set<string>(scope.codes ?? []);
  const others = chosen.size ? groups.filter((group) => !chosen.has(group.code)) : [];
  return {
    images: preview.images,
    codes: Object.entries(preview.codes)
      .map(([code, images]) => ({ code, images: images ?? 0 }))
      .sort((one, other) => other.images - one.images),
    notRetryable: preview.not_retryable.map(({ code, images }) => ({ code, images })),
    otherCodes: others.reduce((sum, group) => sum + group.images, 0),
    notFailed: preview.not_failed ?? 0,
    seconds: Math.ceil(preview.images / Math.max(1, preview.per_second)),
  };
}

/** Return how many of the images of a redrive have been decided, for a progress bar. */
export function decidedOf(progress: Schemas["RedriveProgress"], images: number): { decided: number; total: number } {
  const decided = (progress.done ?? 0) + (progress.failed ?? 0) + (progress.superseded ?? 0);
  return { decided: Math.min(decided, images), total: images };
}
