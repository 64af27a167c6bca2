import { expect, it } from "vitest";

import { stationsOf, type System } from "../src/pages/pipeline/stations";

const WORKER = { missing: false, in_flight: 2, decoders: 4 } as System["workers"][number];
const SYSTEM = {
  dependencies: ["minio", "rabbitmq", "postgres"].map((name) => ({ name, available: true, error: "" })),
  tracker: { lag_seconds: 0.5 },
  queues: [{ name: "image_queue", ready: 3 }, { name: "status_tracker", ready: 1 }],
  dead_letters: [],
  workers: [WORKER],
  throughput: { images_per_minute: 12 },
  waiting: { images: 3, oldest_seconds: 2 },
} as unknown as System;

const states = (system: System): Record<string, string> =>
  Object.fromEntries(stationsOf(system).map(({ name, state }) => [name, state]));

it("shows a working system", () => {
  expect(states(SYSTEM)).toEqual({
    gateway: "ok",
    minio: "ok",
    image_queue: "busy",
    thumbnailer: "busy",
    status_tracker: "ok",
    tracker: "ok",
    postgres: "ok",
  });
});

it("shows what is away, and never calls unknown well", () => {
  const dependencies = SYSTEM.dependencies.map((one) => ({ ...one, available: one.name !== "rabbitmq" }));
  const broken = { ...SYSTEM, dependencies, workers: [{ ...WORKER, missing: true }], tracker: { lag_seconds: null } };
  expect(states(broken as unknown as System)).toMatchObject({
    image_queue: "down",
    status_tracker: "down",
    thumbnailer: "down",
    tracker: "unknown",
    minio: "ok",
  });
});
