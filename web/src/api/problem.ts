/** Errors of the API as one type: a problem of RFC 9457, or no answer at all. */

/** A problem that a person can be shown. `code` is stable; `unreachable` if nothing answered. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly title: string,
    readonly status: number,
    readonly detail = "",
    readonly retryAfter = 0,
  ) {
    super(`${code}: ${title}`);
  }
}

/** Return the problem in the body of an error response. */
export function problemOf(response: Response, body: unknown): Problem {
  const { code, title, detail } = (typeof body === "object" && body ? body : {}) as Partial<Record<string, string>>;
  const retryAfter = Number(response.headers.get("Retry-After") ?? 0) || 0;
  return new Problem(code ?? `http_${response.status}`, title ?? response.statusText, response.status, detail, retryAfter);
}

/** Return any error as a problem. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem("unreachable", error instanceof Error ? error.message : String(error), 0);
}
