/** The router: the address is the state. A page is chosen by its path, and its filters are in the query. */

import { computed, signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";

import { UI_PATH } from "./base";

const address = signal(new URL(location.href));
addEventListener("popstate", () => (address.value = new URL(location.href)));

/** Path of the page below `/ui`, such as `/images/0193…`. */
export const path = computed(() => "/" + address.value.pathname.slice(UI_PATH.length).replace(/\/$/, ""));

/** Parameters of the address. Read-only: change them by `setQuery`. */
export const query = computed(() => address.value.searchParams);

/** Go to a page of the console: `navigate("/failures")`. */
export function navigate(to: string, { replace = false } = {}): void {
  const next = new URL(hrefOf(to), location.href);
  if (next.href === location.href) return;
  const moved = next.pathname !== location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  address.value = next;
  if (moved && !replace) scrollTo(0, 0);
}

/** Change parameters of the address; null and "" remove one, a list sets it several times. */
export function setQuery(changes: Record<string, string | string[] | null>, { replace = true } = {}): void {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) if (one) next.append(name, one);
  }
  const text = next.toString();
  navigate(path.value + (text && `?${text}`), { replace });
}

/** Return the address of a page, for links. */
export function hrefOf(to: string): string {
  return UI_PATH + to.replace(/^\//, "");
}

/** Return the parameters of a path that matches the pattern (`/images/:id`), or null. */
export function match(pattern: string, actual: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const given = actual.split("/");
  if (wanted.length !== given.length) return null;
  const parameters: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? "";
    if (part.startsWith(":") && value) parameters[part.slice(1)] = decodeURIComponent(value);
    else if (part !== value) return null;
  }
  return parameters;
}

type LinkProperties = Omit<JSX.IntrinsicElements["a"], "href"> & { to: string; children: ComponentChildren };

/** A link to a page of the console. */
export function Link({ to, children, onClick, ...rest }: LinkProperties): JSX.Element {
  function follow(event: JSX.TargetedMouseEvent<HTMLAnchorElement>): void {
    onClick?.(event);
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  }
  return (
    <a href={hrefOf(to)} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
