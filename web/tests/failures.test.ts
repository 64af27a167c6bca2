import { expect, it } from "vitest";

import { consequencesOf, decidedOf, type FailureCount, groupsOf, type RedrivePreview, sinceOf } from "../src/pages/failures/scope";

const count = (code: FailureCount["code"], last_hour: number, last_day: number): FailureCount => ({
  code,
  meaning: "",
  retryable: code === "attempts_exhausted",
  last_hour,
  last_day,
  last_week: last_day,
});

const FAILURES = [count("unreadable_image", 4, 4), count("attempts_exhausted", 0, 23)];

it("groups by code within the window, most frequent first", () => {
  expect(groupsOf(FAILURES, "24h").map(({ code, images }) => [code, images])).toEqual([
    ["attempts_exhausted", 23],
    ["unreadable_image", 4],
  ]);
  expect(groupsOf(FAILURES, "1h").map(({ code }) => code)).toEqual(["unreadable_image"]);
});

it("spells out what a redrive does and what it leaves out", () => {
  const preview: RedrivePreview = {
    images: 23,
    codes: { attempts_exhausted: 23 },
    not_retryable: [],
    not_failed: 0,
    per_second: 10,
    counted_at: "",
  };
  const scope = { codes: ["attempts_exhausted" as const], since: sinceOf("24h", 0), force: false };
  expect(consequencesOf(preview, scope, groupsOf(FAILURES, "24h"))).toEqual({
    images: 23,
    codes: [{ code: "attempts_exhausted", images: 23 }],
    notRetryable: [],
    otherCodes: 4,
    notFailed: 0,
    seconds: 3,
  });
  const chosen = consequencesOf({ ...preview, images: 1, not_failed: 2 }, { ids: ["a", "b", "c"], force: false }, groupsOf(FAILURES, "24h"));
  expect([chosen.images, chosen.otherCodes, chosen.notFailed]).toEqual([1, 0, 2]);
});

it("never shows more progress than there is work", () => {
  const progress = { redriven: 2, done: 2, failed: 1, in_progress: 0, superseded: 1 };
  expect(decidedOf(progress, 3)).toEqual({ decided: 3, total: 3 });
});
