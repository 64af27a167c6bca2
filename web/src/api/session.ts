/** The session of this browser: a cookie that the gateway sets for a valid API key. */

import { signal } from "@preact/signals";

import { apiUrl } from "../base";
import { problemOf } from "./problem";

/** Whether the gateway answered 401, so that the login has to be shown. */
export const loginNeeded = signal(false);

let logins = 0;

/**
 * Return what to call if the request that is sent now is answered 401. It shows the login, unless somebody has logged
 * in meanwhile: such a late answer says nothing of the new session.
 */
export function watchUnauthorized(): () => void {
  const before = logins;
  return () => {
    if (logins === before) loginNeeded.value = true;
  };
}

/** Exchange an API key for the cookie. Throw a `Problem` if it is not valid. */
export async function logIn(key: string): Promise<void> {
  const response = await fetch(apiUrl("/api/v1/session"), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ key }),
  });
  if (!response.ok) throw problemOf(response, await response.json().catch(() => null));
  logins += 1;
  loginNeeded.value = false;
}

/** Remove the cookie. */
export async function logOut(): Promise<void> {
  await fetch(apiUrl("/api/v1/session"), { method: "DELETE" });
  loginNeeded.value = true;
}
