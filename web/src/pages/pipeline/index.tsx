import type { JSX } from "preact";

import { EmptyState, Page } from "../../components";
import { t } from "../../i18n";

export default function Pipeline(): JSX.Element {
  return (
    <Page title={t("pipeline.title")}>
      <EmptyState icon="clock" title={t("page.stub")} />
    </Page>
  );
}
