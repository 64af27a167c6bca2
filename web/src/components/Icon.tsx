/** Icons: strokes of one weight on a grid of 24. They are decoration; the word beside one says what it means. */

import type { JSX } from "preact";

const PATHS = {
  gallery: "M4 5h7v7H4zM13 5h7v4h-7zM13 11h7v8h-7zM4 14h7v5H4z",
  upload: "M12 16V5m0 0L7.5 9.5M12 5l4.5 4.5M5 15.5V18a1.5 1.5 0 0 0 1.5 1.5h11A1.5 1.5 0 0 0 19 18v-2.5",
  download: "M12 5v11m0 0-4.5-4.5M12 16l4.5-4.5M5 17.5V18a1.5 1.5 0 0 0 1.5 1.5h11A1.5 1.5 0 0 0 19 18v-.5",
  failures: "M12 8.5v4.2m0 3h.01M10.6 4.9 3.7 16.8A1.6 1.6 0 0 0 5.1 19.2h13.8a1.6 1.6 0 0 0 1.4-2.4L13.4 4.9a1.6 1.6 0 0 0-2.8 0z",
  pipeline: "M3.5 12h3.5m6.5 0h2M7 8.5h6.5v7H7zM15.5 9.5h5v5h-5z",
  reconcile: "M4.5 12a7.5 7.5 0 0 1 13-5.1L19.5 9M19.5 4.5V9H15M19.5 12a7.5 7.5 0 0 1-13 5.1L4.5 15M4.5 19.5V15H9",
  events: "M5 6.5h.01M5 12h.01M5 17.5h.01M9 6.5h10.5M9 12h10.5M9 17.5h7",
  settings: "M4.5 8h8m4 0h3M4.5 16h3m4 0h8M14.5 5.8v4.4M9.5 13.8v4.4",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  check: "m5.5 12.5 4.2 4.2 8.8-9.2",
  cross: "m6.5 6.5 11 11m0-11-11 11",
  clock: "M12 7.5V12l3 2M19.5 12a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z",
  spin: "M12 4.5a7.5 7.5 0 1 1-7.5 7.5",
  alert: "M12 8v5m0 3h.01M19.5 12a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z",
  ban: "M6.8 6.8l10.4 10.4M19.5 12a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z",
  trash: "M5 7.5h14M10 7.5V5.8c0-.5.3-.8.8-.8h2.4c.5 0 .8.3.8.8v1.7M7 7.5l.7 10.6c0 .8.6 1.4 1.4 1.4h5.8c.8 0 1.4-.6 1.4-1.4L17 7.5",
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  pause: "M8.5 6v12M15.5 6v12",
  play: "M8.5 6v12l9-6z",
  search: "m15.5 15.5 4 4M17 11a6 6 0 1 1-12 0 6 6 0 0 1 12 0z",
  right: "m9.5 6 6 6-6 6",
  left: "m14.5 6-6 6 6 6",
  key: "M13.2 10.8 19.5 4.5M16.5 7.5l2 2M14 15.25a4.25 4.25 0 1 1-8.5 0 4.25 4.25 0 0 1 8.5 0z",
  link: "M10 14a3.5 3.5 0 0 0 5 0l3-3a3.54 3.54 0 0 0-5-5l-1 1M14 10a3.5 3.5 0 0 0-5 0l-3 3a3.54 3.54 0 0 0 5 5l1-1",
  help: "M9.3 9.2a2.8 2.8 0 1 1 4.1 2.5c-.9.5-1.4 1.1-1.4 2v.3m0 2.9h.01M19.5 12a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z",
  folder: "M4.5 17.5v-11h5l2 2.5h8v8.5z",
  image: "M4.5 5.5h15v13h-15zM4.5 15.5l4.5-4 3.5 3 3-2.5 4 3.5M15.5 9.2h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" width={size} height={size} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
