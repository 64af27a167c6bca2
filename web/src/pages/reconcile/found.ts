/** What a reconciliation found. Pure. */

import type { Schemas } from "../../api/client";

/** Return the kinds of differences that were found at all, most frequent first. */
export function kindsOf({ found }: Pick<Schemas["Reconciliation"], "found">): [kind: string, count: number][] {
  return Object.entries(found ?? {})
    .filter(([, count]) => count > 0)
    .sort(([, one], [, other]) => other - one);
}
