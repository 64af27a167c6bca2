/** Files can be dropped on every page: the upload page opens and takes them. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect } from "preact/hooks";

import { loginNeeded } from "./api/session";
import { Icon } from "./components";
import { t } from "./i18n";
import { collectDropped } from "./pages/upload/files";
import { navigate } from "./router";

export function DropAnywhere(): JSX.Element | null {
  const over = useSignal(false);
  // Before the browser can drop anything: it would leave the page and show the file.
  useLayoutEffect(() => {
    let depth = 0; // entering a child comes before leaving its parent
    const count = (event: DragEvent, change: number): void => {
      if (!event.dataTransfer?.types.includes("Files") || loginNeeded.value) return;
      event.preventDefault();
      depth = Math.max(0, depth + change);
      over.value = depth > 0;
    };
    const handlers = {
      dragenter: (event: DragEvent) => count(event, 1),
      dragleave: (event: DragEvent) => count(event, -1),
      dragover: (event: DragEvent) => count(event, 0),
      drop: (event: DragEvent) => {
        count(event, -depth);
        if (!event.dataTransfer?.types.includes("Files") || loginNeeded.value) return;
        const dropped = collectDropped(event.dataTransfer);
        navigate("/upload");
        void import("./pages/upload/uploader").then(async (uploader) => uploader.addFiles(await dropped));
      },
    };
    for (const [name, handler] of Object.entries(handlers)) addEventListener(name, handler as EventListener);
    return () => {
      for (const [name, handler] of Object.entries(handlers)) removeEventListener(name, handler as EventListener);
    };
  }, []);
  if (!over.value) return null;
  return (
    <div class="drop-anywhere" aria-hidden="true">
      <Icon name="upload" size={48} />
      {t("upload.dropHere")}
    </div>
  );
}
