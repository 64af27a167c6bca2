/** The path of an image as stations with their state and numbers. Pure: `GET /api/v1/system` in, stations out. */

import type { Schemas } from "../../api/client";

export type System = Schemas["System"];

/** `unknown`: nothing reports it. */
export type StationState = "ok" | "busy" | "warning" | "down" | "unknown";

export type StationName = "gateway" | "minio" | "image_queue" | "thumbnailer" | "status_tracker" | "tracker" | "postgres";

export interface Station {
  name: StationName;
  state: StationState;
  /** The one number of the station; null if it is not known. */
  value: number | null;
  unit: "per_minute" | "waiting" | "workers" | "events" | "seconds" | null;
  /** Further numbers, each with its label. */
  more: Partial<Record<"oldest" | "in_flight" | "decoders" | "missing", number>>;
}

const LATE_SECONDS = 5; // the console calls itself delayed from here on
const VERY_LATE_SECONDS = 60;
const LONG_WAIT_SECONDS = 60;

/** Return the stations in the order in which an image passes them. */
export function stationsOf(system: System): Station[] {
  const { waiting, throughput } = system;
  const alive = system.workers.filter((worker) => !worker.missing);
  const missing = system.workers.length - alive.length;
  const oldest = waiting?.oldest_seconds ?? null;
  const lag = system.tracker.lag_seconds ?? null;
  const broker = dependency(system, "rabbitmq");
  return [
    station("gateway", "ok", throughput?.images_per_minute ?? null, "per_minute"),
    station("minio", dependency(system, "minio"), null, null),
    station("image_queue", worst(broker, waitState(oldest)), waiting?.images ?? ready(system, "image_queue"), "waiting", {
      ...(oldest !== null && { oldest }),
    }),
    station("thumbnailer", workerState(alive.length, missing, sum(alive, "in_flight")), alive.length, "workers", {
      in_flight: sum(alive, "in_flight"),
      decoders: sum(alive, "decoders"),
      ...(missing && { missing }),
    }),
    station("status_tracker", broker, ready(system, "status_tracker"), "events"),
    station("tracker", lagState(lag), lag, "seconds"),
    station("postgres", dependency(system, "postgres"), null, null),
  ];
}

/** Return the dead letters of all queues. */
export function deadLetterCount(system: System): number {
  return system.dead_letters.reduce((count, queue) => count + queue.messages, 0);
}

function station(
  name: StationName,
  state: StationState,
  value: number | null,
  unit: Station["unit"],
  more: Station["more"] = {},
): Station {
  return { name, state, value, unit, more };
}

function dependency(system: System, name: string): StationState {
  const found = system.dependencies.find((one) => one.name === name);
  return found ? (found.available ? "ok" : "down") : "unknown";
}

function ready(system: System, name: string): number | null {
  return system.queues.find((queue) => queue.name === name)?.ready ?? null;
}

function waitState(oldest: number | null): StationState {
  return oldest === null ? "ok" : oldest > LONG_WAIT_SECONDS ? "warning" : "busy";
}

function workerState(alive: number, missing: number, inFlight: number): StationState {
  if (!alive) return "down";
  if (missing) return "warning";
  return inFlight ? "busy" : "ok";
}

function lagState(lag: number | null): StationState {
  if (lag === null) return "unknown";
  return lag > VERY_LATE_SECONDS ? "down" : lag > LATE_SECONDS ? "warning" : "ok";
}

const SEVERITY: readonly StationState[] = ["ok", "busy", "unknown", "warning", "down"];

function worst(...states: StationState[]): StationState {
  return states.reduce((one, other) => (SEVERITY.indexOf(other) > SEVERITY.indexOf(one) ? other : one));
}

function sum(workers: System["workers"], field: "in_flight" | "decoders"): number {
  return workers.reduce((total, worker) => total + worker[field], 0);
}
