import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";

import { t } from "../i18n";

interface Properties {
  title: string;
  /** One line below the title. */
  lead?: ComponentChildren;
  /** Buttons and filters beside the title. */
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** The frame of a page: the title in the tab and on the page. */
export function Page({ title, lead, actions, children }: Properties): JSX.Element {
  useEffect(() => void (document.title = `${title} · ${t("app.name")}`), [title]);
  return (
    <>
      <header class="page-header">
        <div>
          <h1>{title}</h1>
          {lead && <p class="muted">{lead}</p>}
        </div>
        {actions && <div class="row">{actions}</div>}
      </header>
      {children}
    </>
  );
}
