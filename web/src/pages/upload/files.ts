/** Files out of a drop, a paste or a dialog, and which of them can be uploaded. */

import type { Schemas } from "../../api/client";

export type Limits = Schemas["Limits"];

/** A file, and whether it came out of a folder, where files that are no images are expected. */
export interface Chosen {
  file: File;
  fromFolder: boolean;
}

/** Return the files of a drop, those in folders too. Call it in the event's handler: later the drop is empty. */
export function collectDropped(transfer: DataTransfer): Promise<Chosen[]> {
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
  if (!entries.length) return Promise.resolve([...transfer.files].map((file) => ({ file, fromFolder: false })));
  return Promise.all(entries.map((entry) => walk(entry, false))).then((lists) => lists.flat());
}

async function walk(entry: FileSystemEntry, fromFolder: boolean): Promise<Chosen[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, fromFolder }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Chosen[] = [];
  for (;;) {
    // One call returns at most 100 entries.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return found;
    for (const list of await Promise.all(entries.map((one) => walk(one, true)))) found.push(...list);
  }
}

const MORE_EXTENSIONS: Readonly<Record<string, string>> = {
  jpeg: "image/jpeg",
  jpe: "image/jpeg",
  jfif: "image/jpeg",
  tif: "image/tiff",
  tiff: "image/tiff",
};

/** Return the content type to upload a file with: by its type, else by its extension, which browsers know of few. */
export function contentTypeOf(file: { name: string; type: string }, limits: Limits): string | null {
  const type = file.type.toLowerCase();
  if (limits.formats.some((format) => format.content_type === type)) return type;
  if (type.startsWith("image/") && type !== "image/svg+xml") return type; // the gateway knows the synonyms
  const extension = file.name.split(".").pop()?.toLowerCase() ?? "";
  return limits.formats.find((format) => format.extension === extension)?.content_type ?? MORE_EXTENSIONS[extension] ?? null;
}

/** Return why a file cannot be uploaded, or null. */
export function findFault(file: { name: string; type: string; size: number }, limits: Limits): string | null {
  if (!contentTypeOf(file, limits)) return "unsupported_format";
  if (file.size === 0) return "empty_file";
  return file.size > limits.max_upload_bytes ? "file_too_large" : null;
}
