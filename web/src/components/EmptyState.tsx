import type { ComponentChildren, JSX } from "preact";

import { Code } from "./Code";
import { Icon, type IconName } from "./Icon";

interface Properties {
  icon: IconName;
  title: string;
  /** What to do next. */
  hint?: string;
  /** A command that does it. */
  command?: string;
  /** Buttons or links. */
  children?: ComponentChildren;
}

/** A page or a table without content: it says the next step. */
export function EmptyState({ icon, title, hint, command, children }: Properties): JSX.Element {
  return (
    <div class="state">
      <Icon name={icon} size={40} />
      <h2>{title}</h2>
      {hint && <p>{hint}</p>}
      {command && <Code text={command} />}
      {children && <div class="row row-center">{children}</div>}
    </div>
  );
}
