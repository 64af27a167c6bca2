/** The client of the API. Its types come from docs/reference/openapi.json (`make docs`). */

import createClient, { type FetchResponse } from "openapi-fetch";

import { GATEWAY_URL } from "../base";
import { Problem, problemOf, toProblem } from "./problem";
import type { components, paths } from "./schema";
import { watchUnauthorized } from "./session";

export type Image = components["schemas"]["ImageOut"];
export type Variant = components["schemas"]["VariantOut"];
export type ImagePage = components["schemas"]["ImagePage"];
export type TimelineEvent = components["schemas"]["TimelineEventOut"];
export type Schemas = components["schemas"];

/** The raw client: `client.GET("/api/v1/images", { params: { query: { limit: 50 } } })`. */
export const client = createClient<paths>({ baseUrl: GATEWAY_URL, credentials: "same-origin" });

/**
 * Await a call and return its body, or throw a `Problem`:
 * `const page = await body(client.GET("/api/v1/images"))`.
 */
export async function body<T extends Record<string | number, unknown>, O, M extends `${string}/${string}`>(
  call: Promise<FetchResponse<T, O, M>>,
): Promise<NonNullable<FetchResponse<T, O, M>["data"]>> {
  const onUnauthorized = watchUnauthorized();
  let result: FetchResponse<T, O, M>;
  try {
    result = await call;
  } catch (error) {
    throw error instanceof DOMException && error.name === "AbortError" ? error : toProblem(error);
  }
  if (result.response.ok) return result.data as NonNullable<FetchResponse<T, O, M>["data"]>;
  const problem: Problem = problemOf(result.response, result.error);
  if (problem.status === 401) onUnauthorized();
  throw problem;
}

