import type { JSX } from "preact";

import { EmptyState, Page } from "../../components";
import { t } from "../../i18n";

export default function Reconcile(): JSX.Element {
  return (
    <Page title={t("reconcile.title")}>
      <EmptyState icon="clock" title={t("page.stub")} />
    </Page>
  );
}
