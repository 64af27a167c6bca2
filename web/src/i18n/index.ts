/** Texts and formats in the chosen language. English is built in; others are loaded when they are chosen. */

import { computed, effect, signal } from "@preact/signals";

import { language } from "../settings";
import { en, type Key, type Text, type Texts } from "./en";

const LOADERS = { de: () => import("./de").then((module) => module.de) };

// Loaded at the first problem: a page that works does not need them.
const PROBLEM_LOADERS = { de: () => import("./texts/problems.de").then((module) => module.problems) };

const problemTexts = signal<{ locale: string; texts: Readonly<Record<string, string>> }>({ locale: "en", texts: {} });

const loaded = signal<{ locale: string; texts: Texts }>({ locale: "en", texts: en });

function wantedLanguage(): "en" | "de" {
  const wanted = language.value === "auto" ? (navigator.language.slice(0, 2) as string) : language.value;
  return wanted === "de" ? "de" : "en";
}

effect(() => {
  const wanted = wantedLanguage();
  if (wanted === "en") loaded.value = { locale: "en", texts: en };
  else void LOADERS[wanted]().then((texts) => wantedLanguage() === wanted && (loaded.value = { locale: wanted, texts }));
});

effect(() => void (document.documentElement.lang = loaded.value.locale));

/** The locale for `Intl`: the browser's own variant of the chosen language, if it has one (`en-GB`). */
export const locale = computed(
  () => navigator.languages.find((one) => one.startsWith(loaded.value.locale)) ?? loaded.value.locale,
);

/** Return a text in the chosen language. `{name}` is replaced; a text with plural forms chooses by `count`. */
export function t(key: Key, parameters: Record<string, string | number> = {}): string {
  return fill(loaded.value.texts[key], parameters, locale.value);
}

/** Return a text by a key that is only known at run time, such as an error code, or the fallback. */
export function translate(key: string, fallback: string): string {
  return key in loaded.value.texts ? t(key as Key) : fallback;
}

/** Return what a problem of the API says. Until its texts are loaded, and in English, these are the API's own words. */
export function problemText(problem: { code: string; title: string }): string {
  void loadProblemTexts();
  const { locale, texts } = problemTexts.value;
  return (locale === loaded.value.locale && texts[`problem.${problem.code}`]) || problem.title;
}

/** Return what a problem of the API says, once its texts are loaded. */
export async function loadProblemText(problem: { code: string; title: string }): Promise<string> {
  await loadProblemTexts();
  return problemText(problem);
}

async function loadProblemTexts(): Promise<void> {
  const { locale } = loaded.value;
  if (locale !== "de" || problemTexts.peek().locale === locale) return;
  try {
    problemTexts.value = { locale, texts: await PROBLEM_LOADERS.de() };
  } catch {
    // The API's own words stay.
  }
}

/** Choose the plural form and fill in the parameters. */
export function fill(text: Text, parameters: Record<string, string | number>, inLocale: string): string {
  const form =
    typeof text === "string"
      ? text
      : new Intl.PluralRules(inLocale).select(Number(parameters["count"] ?? 0)) === "one"
        ? text.one
        : text.other;
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = parameters[name];
    return value === undefined ? whole : typeof value === "number" ? formatNumber(value, inLocale) : value;
  });
}

/** Return a number with the separators of the language. */
export function formatNumber(value: number, inLocale: string = locale.value, options?: Intl.NumberFormatOptions): string {
  return new Intl.NumberFormat(inLocale, options).format(value);
}

/** Return a size: 3.1 MB. */
export function formatBytes(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
  const step = Math.min(units.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  const digits = step && value < 100 ? 1 : 0;
  const style = { style: "unit", unit: units[step], unitDisplay: step ? "short" : "long", maximumFractionDigits: digits };
  return formatNumber(value, locale.value, style as Intl.NumberFormatOptions);
}

/** Return a duration: 320ms, 4.2s, 3m 5s, 2h 10m, 3d 4h. */
export function formatDuration(seconds: number): string {
  const unit = (value: number, name: string, digits = 0): string =>
    formatNumber(value, locale.value, { style: "unit", unit: name, unitDisplay: "narrow", maximumFractionDigits: digits });
  if (seconds < 0) return `−${formatDuration(-seconds)}`;
  if (seconds < 0.9995) return unit(seconds * 1000, "millisecond");
  if (seconds < 59.95) return unit(seconds, "second", seconds < 10 ? 1 : 0);
  const parts = [
    [Math.floor(seconds / 86400), "day"],
    [Math.floor(seconds / 3600) % 24, "hour"],
    [Math.floor(seconds / 60) % 60, "minute"],
    [Math.floor(seconds) % 60, "second"],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, name]) => unit(value, name))
    .join(" ");
}

/** Return a time as a person says it: in 5 seconds, 3 minutes ago, yesterday. */
export function formatAge(time: Date, now: number): string {
  const seconds = (time.getTime() - now) / 1000;
  const steps = [
    [60, 1, "second"],
    [3600, 60, "minute"],
    [86400, 3600, "hour"],
    [86400 * 30, 86400, "day"],
    [86400 * 365, 86400 * 30, "month"],
    [Infinity, 86400 * 365, "year"],
  ] as const;
  const [, size, unit] = steps.find(([limit]) => Math.abs(seconds) < limit) ?? steps[5];
  return new Intl.RelativeTimeFormat(locale.value, { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}

/** Return a time with its date and time zone. */
export function formatTime(time: Date, milliseconds = false): string {
  return new Intl.DateTimeFormat(locale.value, {
    dateStyle: undefined,
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    ...(milliseconds && { fractionalSecondDigits: 3 }),
    timeZoneName: "short",
  }).format(time);
}
