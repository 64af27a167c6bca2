import type { JSX } from "preact";

import { CopyButton } from "./CopyButton";

/** A command or a value in a fixed-width font, with a button that copies it. */
export function Code({ text }: { text: string }): JSX.Element {
  return (
    <span class="code">
      <code tabIndex={0}>{text}</code>
      <CopyButton text={text} />
    </span>
  );
}
