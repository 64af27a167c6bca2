/** Which page an address shows. Pages are loaded when they are first opened. */

import { signal, useComputed } from "@preact/signals";
import type { ComponentType, JSX } from "preact";

import { loginNeeded } from "./api/session";
import { EmptyState, Page, Skeleton } from "./components";
import { t } from "./i18n";
import { Layout } from "./layout";
import { Login } from "./pages/login";
import { Link, match, path } from "./router";

type Parameters = Record<string, string>;
type PageComponent = ComponentType<{ parameters: Parameters }>;

const ROUTES: readonly [pattern: string, load: () => Promise<{ default: PageComponent }>][] = [
  ["/", () => import("./pages/gallery")],
  ["/upload", () => import("./pages/upload")],
  ["/images/:id", () => import("./pages/image")],
  ["/failures", () => import("./pages/failures")],
  ["/pipeline", () => import("./pages/pipeline")],
  ["/reconcile", () => import("./pages/reconcile")],
  ["/events", () => import("./pages/events")],
  ["/settings", () => import("./pages/settings")],
];

const loaded = signal<ReadonlyMap<string, PageComponent>>(new Map());

export function App(): JSX.Element {
  return <Layout>{loginNeeded.value ? <Login /> : <CurrentPage />}</Layout>;
}

function CurrentPage(): JSX.Element {
  const route = useComputed(() => {
    for (const [pattern, load] of ROUTES) {
      const parameters = match(pattern, path.value);
      if (parameters) return { pattern, load, parameters };
    }
    return null;
  }).value;
  if (!route) {
    return (
      <Page title={t("page.notFound")}>
        <EmptyState icon="search" title={t("page.notFound.hint")}>
          <Link to="/">{t("nav.gallery")}</Link>
        </EmptyState>
      </Page>
    );
  }
  const Shown = loaded.value.get(route.pattern);
  if (!Shown) {
    void route.load().then((module) => (loaded.value = new Map(loaded.value).set(route.pattern, module.default)));
    return <Skeleton />;
  }
  return <Shown key={path.value} parameters={route.parameters} />;
}
