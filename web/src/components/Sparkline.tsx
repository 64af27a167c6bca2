import type { JSX } from "preact";

import { sparkline } from "./sparkline-path";

const WIDTH = 120;
const HEIGHT = 32;

/** A small line of the last values. `label` says in words what it shows. */
export function Sparkline({ values, label }: { values: readonly number[]; label: string }): JSX.Element {
  const { line, area } = sparkline(values, WIDTH, HEIGHT);
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label} preserveAspectRatio="none">
      <path class="sparkline-area" d={area} />
      <path class="sparkline-line" d={line} />
    </svg>
  );
}
