import type { ComponentChildren, JSX } from "preact";

import { Icon, type IconName } from "./Icon";

interface Properties extends Omit<JSX.IntrinsicElements["button"], "icon" | "size"> {
  /** `primary`: the one action of the page. `danger`: removes something. `quiet`: no border. */
  kind?: "primary" | "default" | "danger" | "quiet";
  icon?: IconName;
  /** Shown as busy, and not clickable. */
  busy?: boolean;
  /** Without children: the accessible name of a button that is only an icon. */
  label?: string;
  children?: ComponentChildren;
}

export function Button({ kind = "default", icon, busy, label, children, class: more, ...rest }: Properties): JSX.Element {
  return (
    <button
      type="button"
      class={`button button-${kind} ${children ? "" : "button-icon"} ${more ?? ""}`}
      aria-label={children ? undefined : label}
      title={children ? undefined : label}
      aria-busy={busy || undefined}
      aria-disabled={busy || undefined}
      {...rest}
      {...(busy && { onClick: undefined })}
    >
      {busy ? <Icon name="spin" size={18} /> : icon && <Icon name={icon} size={18} />}
      {children && <span>{children}</span>}
    </button>
  );
}
