/** The state of the gallery in the address: filter and page. */

import { query } from "../../router";
import type { Filter } from "./cards";

/** Return the filter and the page that the address names. */
export function readAddress(): Filter & { cursor: string | null } {
  const { value } = query;
  return { status: value.get("status"), batch: value.get("batch"), key: value.get("key"), cursor: value.get("cursor") };
}

/** Return the gallery's address with parameters changed, for links. */
export function withQuery(changes: Record<string, string | null>): string {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  const text = next.toString();
  return text ? `/?${text}` : "/";
}
