import type { JSX } from "preact";

import { Icon, type IconName } from "../../components";
import { formatDuration, formatNumber, t } from "../../i18n";
import type { Station, StationName, StationState } from "./stations";

const ICONS: Record<StationName, IconName> = {
  gateway: "upload",
  minio: "folder",
  image_queue: "events",
  thumbnailer: "image",
  status_tracker: "events",
  tracker: "check",
  postgres: "pipeline",
};

const STATE_ICONS: Record<StationState, IconName> = { ok: "check", busy: "play", warning: "clock", down: "alert", unknown: "more" };

/** The path of one image, station by station. */
export function Diagram({ stations }: { stations: readonly Station[] }): JSX.Element {
  return (
    <ol class="diagram" aria-label={t("pipeline.path")}>
      {stations.map((station) => (
        <li key={station.name} class={`station station-${station.state}`} data-station={station.name}>
          <div class="station-head">
            <Icon name={ICONS[station.name]} size={20} />
            <h2>{t(`station.${station.name}`)}</h2>
          </div>
          <p class="station-role">{t(`station.${station.name}.role`)}</p>
          <p class="station-value">
            {valueOf(station)}
            {station.unit && <span class="station-unit">{t(`station.unit.${station.unit}`, { count: station.value ?? 0 })}</span>}
          </p>
          <p class="station-more">{moreOf(station)}</p>
          <p class="station-state">
            <Icon name={STATE_ICONS[station.state]} size={16} /> {t(`station.state.${station.state}`)}
          </p>
        </li>
      ))}
    </ol>
  );
}

function valueOf({ value, unit }: Station): string {
  if (value === null) return unit ? "–" : "";
  return unit === "seconds" ? formatDuration(value) : formatNumber(value, undefined, { maximumFractionDigits: 1 });
}

function moreOf({ more }: Station): string {
  return [
    more.oldest !== undefined && t("station.oldest", { time: formatDuration(more.oldest) }),
    more.in_flight !== undefined && t("station.inFlight", { count: more.in_flight }),
    more.decoders !== undefined && t("station.decoders", { count: more.decoders }),
    more.missing !== undefined && t("station.missing", { count: more.missing }),
  ]
    .filter(Boolean)
    .join(" · ");
}
