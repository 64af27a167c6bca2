import type { JSX } from "preact";

import { now } from "../clock";
import { formatAge, formatTime } from "../i18n";

/** A time relative to now, with the absolute time as its title. `exact` shows the absolute time itself. */
export function Time({ at, exact = false }: { at: string | Date; exact?: boolean }): JSX.Element {
  const time = typeof at === "string" ? new Date(at) : at;
  const absolute = formatTime(time, exact);
  return (
    <time dateTime={time.toISOString()} title={absolute}>
      {exact ? absolute : formatAge(time, now.value)}
    </time>
  );
}
