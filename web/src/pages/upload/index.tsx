import "./upload.css";

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { Button, Icon, Page } from "../../components";
import { formatBytes, t } from "../../i18n";
import { Link } from "../../router";
import { BatchBar } from "./batch-bar";
import { UploadRow } from "./row";
import { addFiles, batch, leftOut, limits, rows, start, totals } from "./uploader";

/** Choose files and watch each of them until its thumbnail is there. */
export default function Upload(): JSX.Element {
  useEffect(() => {
    void start();
    const paste = (event: ClipboardEvent): void => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) void addFiles(files.map((file) => ({ file, fromFolder: false })));
    };
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  }, []);
  const some = totals.value.total > 0;
  return (
    <Page title={t("upload.title")}>
      <div class={`drop ${some ? "drop-small" : ""}`}>
        <Icon name="upload" size={some ? 28 : 44} />
        <div class="drop-text">
          <h2>{t("upload.drop")}</h2>
          <p class="muted">{limitsText()}</p>
        </div>
        <div class="row">
          <FileButton primary />
          <FileButton folder />
        </div>
      </div>
      {leftOut.value > 0 && <p class="muted left-out">{t("upload.leftOut", { count: leftOut.value })}</p>}
      {some && (
        <>
          <BatchBar />
          <ul class="uploads">
            {rows.value.map((row) => (
              <UploadRow key={row.peek().id} row={row} />
            ))}
          </ul>
          <p class="muted small batch-label">
            {t("upload.batch")} <Link to={`/?batch=${batch.value}`}>{batch.value}</Link>
          </p>
        </>
      )}
    </Page>
  );
}

function limitsText(): string {
  const known = limits.value;
  if (!known) return " ";
  const names = [...new Set(known.formats.map((format) => NAMES[format.extension] ?? format.extension.toUpperCase()))];
  return t("upload.limits", { formats: names.join(", "), size: formatBytes(known.max_upload_bytes) });
}

const NAMES: Record<string, string> = { jpg: "JPEG", tif: "TIFF", webp: "WebP", heif: "HEIC" };

/** A button that opens the dialog of an input, which itself cannot be styled. */
function FileButton({ primary = false, folder = false }: { primary?: boolean; folder?: boolean }): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  function take(): void {
    const files = [...(input.current?.files ?? [])];
    void addFiles(files.map((file) => ({ file, fromFolder: folder })));
    input.current!.value = ""; // the same file can be chosen again
  }
  return (
    <>
      <input
        ref={input}
        type="file"
        class="visually-hidden"
        multiple
        tabIndex={-1}
        aria-hidden="true"
        data-testid={folder ? "folder" : "files"}
        {...(folder && { webkitdirectory: true })}
        {...(!folder && { accept: "image/*,.heic,.heif,.avif,.tif,.tiff" })}
        onChange={take}
      />
      <Button kind={primary ? "primary" : "default"} icon={folder ? "folder" : "image"} onClick={() => input.current?.click()}>
        {t(folder ? "upload.folder" : "upload.choose")}
      </Button>
    </>
  );
}
