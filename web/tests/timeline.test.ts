import { describe, expect, it } from "vitest";

import type { TimelineEvent } from "../src/api/client";
import { durationsOf, stepsOf } from "../src/pages/image/timeline";

let count = 0;

/** Return an event that happened `ms` after the start and was recorded 20 ms later. */
function event(type: string, ms: number, more: Partial<TimelineEvent> = {}): TimelineEvent {
  const start = Date.UTC(2026, 0, 1);
  return {
    id: String((count += 1)),
    type,
    object_version: "v1",
    occurred: new Date(start + ms).toISOString(),
    recorded: new Date(start + ms + 20).toISOString(),
    recorded_by: "/thumbnailer",
    data: {},
    ...more,
  };
}

const created = (ms: number, more: Partial<TimelineEvent> = {}): TimelineEvent =>
  event("storage.ObjectCreated:Put", ms, { recorded_by: "immediate", data: { sequencer: "1" }, ...more });
const run = (ms: number): TimelineEvent => event("image.retry_requested", ms, { data: { run_id: "r2", operator: "ada" } });

describe("steps", () => {
  it("join MinIO's two announcements, and name both sources, the first to be recorded first", () => {
    const steps = stepsOf([created(0, { recorded_by: "durable", recorded: "2026-01-01T00:00:02.000Z" }), created(0)]);
    expect(steps).toHaveLength(1);
    expect(steps[0]?.sources.map(({ name, delayMs }) => [name, delayMs])).toEqual([["immediate", 20], ["durable", 2000]]);
  });

  it("have no negative duration where two clocks differ, and say so", () => {
    const steps = stepsOf([event("image.processing", -30), created(0), event("image.done", 50)]);
    expect(steps.map(({ kind, sinceMs, skewed }) => [kind, sinceMs, skewed])).toEqual([
      ["storage.created", null, false],
      ["image.processing", 0, true],
      ["image.done", 80, false],
    ]);
  });

  it("name who ordered a redrive, why an attempt failed, and what was repaired", () => {
    const retrying = event("image.retrying", 10, { data: { reason: "storage away", attempt: 2 } });
    const repaired = event("tracker.repaired", 20, { data: { drift: "missing_variants", missing: ["a/b/small.jpg"] } });
    expect(stepsOf([retrying, repaired, run(30)]).map((step) => step.details)).toEqual([
      { reason: "storage away" },
      { drift: "missing_variants", missing: "small" },
      { operator: "ada" },
    ]);
  });

  it("mark another object under the key", () => {
    const second = created(100, { object_version: "v2", data: { sequencer: "2" } });
    expect(stepsOf([created(0), second]).map((step) => step.newObject)).toEqual([false, true]);
  });
});

describe("durations", () => {
  const first = [created(0), event("image.processing", 40), event("image.failed", 100)];

  it("are of the first run from the upload", () => {
    expect(durationsOf(stepsOf(first))).toEqual({ waitedMs: 40, processedMs: 60, totalMs: 100 });
  });

  it("are of the last run from its request", () => {
    const second = (type: string, ms: number): TimelineEvent => event(type, ms, { data: { run_id: "r2", attempt: 1 } });
    const steps = stepsOf([...first, run(1000), second("image.processing", 1010), second("image.done", 1100)]);
    expect(durationsOf(steps)).toEqual({ waitedMs: 10, processedMs: 90, totalMs: 100 });
  });

  it("leave out what has not happened", () => {
    expect(durationsOf(stepsOf([created(0)]))).toEqual({ waitedMs: null, processedMs: null, totalMs: null });
  });
});
