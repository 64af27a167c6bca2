/** The log of changes: newest first, bounded, filtered. Pure. */

import type { Change } from "../../live/messages";

/** Lines kept; older ones are in `GET /api/v1/changes`. */
export const MAX_LINES = 500;

export interface Filter {
  types: readonly string[];
  batch: string | null;
  image: string | null;
}

/** Return the log with a change on top; a change that it already has is not added again. */
export function addChange(lines: readonly Change[], change: Change): readonly Change[] {
  if (lines.some((line) => line.id === change.id)) return lines;
  return [change, ...lines].slice(0, MAX_LINES);
}

/** Return whether a change passes the filter; an empty list of types means all. */
export function passes(change: Change, { types, batch, image }: Filter): boolean {
  return (
    (!types.length || types.includes(change.type)) &&
    (!batch || change.data.batch === batch) &&
    (!image || change.data.id === image)
  );
}

/** Return the parameters of the filter, as the stream and the feed take them. */
export function parametersOf({ types, batch, image }: Filter): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const type of types) parameters.append("type", type);
  if (batch) parameters.set("batch", batch);
  if (image) parameters.set("image", image);
  return parameters;
}

/** Return the command that shows the same stream in a terminal. `-N` switches off curl's buffer. */
export function curlOf(gatewayUrl: string, filter: Filter): string {
  const parameters = parametersOf(filter).toString();
  return `curl -N ${quote(`${gatewayUrl}/api/v1/stream${parameters && `?${parameters}`}`)}`;
}

/** Return the position `count` changes before another one; ids are `<epoch>-<seq>`. */
export function earlierId(id: string, count: number): string {
  const dash = id.lastIndexOf("-");
  return `${id.slice(0, dash)}-${Math.max(0, Number(id.slice(dash + 1)) - count)}`;
}

/** Quote a word for a POSIX shell, if it needs it. */
function quote(word: string): string {
  return /^[\w:/.@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
