import type { JSX } from "preact";

import type { Schemas } from "../../api/client";
import type { Problem } from "../../api/problem";
import { Icon } from "../../components";
import { problemText, t, translate } from "../../i18n";

interface Properties {
  problems: readonly Schemas["SystemProblem"][];
  /** Why the numbers below could not be fetched again. */
  unreachable: Problem | null;
}

/** What needs an operator, each with the next step; one quiet line if nothing does. */
export function Problems({ problems, unreachable }: Properties): JSX.Element {
  if (unreachable) {
    return (
      <p class="pipeline-problem" role="alert">
        <Icon name="alert" />
        <strong>{t("pipeline.stale")}</strong> {problemText(unreachable)}
      </p>
    );
  }
  if (!problems.length) {
    return (
      <p class="pipeline-well">
        <Icon name="check" /> {t("pipeline.well")}
      </p>
    );
  }
  return (
    <ul class="pipeline-problems" aria-label={t("pipeline.problems")}>
      {problems.map((problem) => (
        <li key={`${problem.component} ${problem.problem}`} class="pipeline-problem">
          <Icon name="alert" />
          <div>
            <strong>{translate(`component.${problem.component}`, problem.component)}</strong>
            <p lang="en">{problem.problem}</p>
            <p>
              <span class="muted">{t("pipeline.whatToDo")}</span> <span lang="en">{problem.what_to_do}</span>
            </p>
          </div>
        </li>
      ))}
    </ul>
  );
}
