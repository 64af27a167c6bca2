import type { JSX } from "preact";

import { Button, Icon } from "../../components";
import { formatNumber, t, translate } from "../../i18n";
import { Link, query } from "../../router";
import type { Group } from "./scope";

interface Properties {
  groups: readonly Group[];
  selected: string | null;
  allowed: boolean;
  onRedrive: (group: Group) => void;
}

/** One card for each error code: how many, what it means, whether it would fail again, and what to do. */
export function Groups({ groups, selected, allowed, onRedrive }: Properties): JSX.Element {
  const first = groups.find((group) => group.retryable);
  return (
    <ul class="failure-groups">
      {groups.map((group) => (
        <li key={group.code} class={`failure-group ${group.code === selected ? "failure-group-selected" : ""}`}>
          <span class="failure-count">{formatNumber(group.images)}</span>
          <div class="failure-text">
            <h2>{translate(`failure.${group.code}`, group.meaning)}</h2>
            <p class="muted">{translate(`failure.${group.code}.remedy`, "")}</p>
            <p class="failure-code small">
              <code>{group.code}</code>
              <span class={`chip ${group.retryable ? "chip-retrying" : ""}`}>
                <Icon name={group.retryable ? "reconcile" : "ban"} size={16} />
                {t(group.retryable ? "failures.retryable" : "failures.final")}
              </span>
            </p>
          </div>
          <div class="failure-actions">
            <Link class="button" to={addressOf(group.code === selected ? null : group.code)}>
              {t(group.code === selected ? "failures.showAll" : "failures.showImages")}
            </Link>
            {allowed && (
              <Button kind={group === first ? "primary" : "default"} icon="reconcile" onClick={() => onRedrive(group)}>
                {t("failures.redrive", { count: group.images })}
              </Button>
            )}
          </div>
        </li>
      ))}
    </ul>
  );
}

function addressOf(code: string | null): string {
  const next = new URLSearchParams(query.value);
  if (code) next.set("code", code);
  else next.delete("code");
  const text = next.toString();
  return text ? `/failures?${text}` : "/failures";
}
