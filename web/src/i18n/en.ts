/** The texts in English, by page. Other languages have the same keys. */

import { failures } from "./texts/failures.en";
import { gallery } from "./texts/gallery.en";
import { image } from "./texts/image.en";
import { operations } from "./texts/operations.en";

/** A text, or its forms for one and for several. */
export type Text = string | { readonly one: string; readonly other: string };

export const en = {
  // Frame
  "app.name": "Thumbmill",
  "app.skip": "Skip to the content",
  "app.menu": "More",
  "nav.label": "Pages",
  "nav.gallery": "Gallery",
  "nav.upload": "Upload",
  "nav.failures": "Failures",
  "nav.pipeline": "Pipeline",
  "nav.reconcile": "Reconcile",
  "nav.events": "Events",
  "nav.settings": "Settings",
  "nav.help": "Keyboard shortcuts",
  "page.notFound": "There is no page at this address",
  "page.notFound.hint": "The link may be old, or a letter is missing.",
  "page.stub": "This page is being built.",

  // Live connection
  "live.connecting": "Connecting",
  "live.live": "Live",
  "live.delayed": "Delayed by {lag}",
  "live.polling": "Polling",
  "live.paused": "Paused",
  "live.offline": "Offline",
  "live.pause": "Pause updates",
  "live.resume": "Resume updates",
  "live.connecting.hint": "Opening the stream of changes.",
  "live.live.hint": "Changes appear as they happen.",
  "live.delayed.hint": "The status tracker is behind: what you see is older than it looks.",
  "live.polling.hint": "A proxy holds the stream back. Changes are fetched in turns instead; nothing is lost.",
  "live.paused.hint": "This page does not change until you resume.",
  "live.offline.hint": "The gateway does not answer. This page tries again by itself.",

  // States of an image
  "status.AWAITING_UPLOAD": "Awaiting upload",
  "status.PENDING": "Waiting",
  "status.PROCESSING": "Processing",
  "status.RETRYING": "Retrying",
  "status.DONE": "Done",
  "status.FAILED": "Failed",
  "status.EXPIRED": "Expired",
  "status.DELETED": "Deleted",

  // Common
  "common.copy": "Copy",
  "common.copied": "Copied",
  "common.cancel": "Cancel",
  "common.close": "Close",
  "common.retry": "Try again",
  "common.loading": "Loading",
  "common.more": "Show more",
  "common.code": "Code",
  "common.yes": "Yes",
  "common.no": "No",
  "common.unknownFile": "Unnamed file",

  // Problems
  "problem.title": "That did not work",
  "problem.unreachable": "The gateway does not answer. Check that it is running: make status",
  "problem.unauthorized": "This system needs an API key.",

  // Login
  "login.title": "Log in",
  "login.hint": "Enter an API key. This browser keeps it as a cookie that scripts cannot read.",
  "login.key": "API key",
  "login.submit": "Log in",
  "login.wrong": "This key is not valid.",
  "login.logout": "Log out",

  // Keys
  "keys.search": "Search",
  "keys.pause": "Pause or resume updates",
  "keys.theme": "Next theme",
  "keys.help": "This list",
  "keys.turnOff": "Single keys can be switched off in the settings.",
  "keys.turnOn": "Single keys are switched off. Switch them on in the settings.",

  // Upload
  "upload.title": "Upload",
  "upload.drop": "Drop photos anywhere, or paste them",
  "upload.dropHere": "Drop to upload",
  "upload.limits": "{formats}, up to {size} each",
  "upload.choose": "Choose files",
  "upload.folder": "Choose a folder",
  "upload.leftOut": { one: "One file in the folder is no image and was left out.", other: "{count} files in the folder are no images and were left out." },
  "upload.batch": "These uploads have the batch label",
  "upload.bar": "All uploads",
  "upload.bar.done": "{done} of {total} done",
  "upload.bar.failed": "{failed} failed",
  "upload.bar.processing": "{processing} processing",
  "upload.bar.uploading": "{uploading} uploading",
  "upload.announce": "{done} of {total} done, {failed} failed",
  "upload.speed": "{speed}/s",
  "upload.left": "{time} left",
  "upload.pauseAll": "Pause all",
  "upload.resumeAll": "Resume all",
  "upload.clear": "Clear finished",
  "upload.progress": "Upload of {name}",
  "upload.pause": "Pause {name}",
  "upload.resume": "Resume {name}",
  "upload.cancel": "Cancel {name}",
  "upload.retry": "Try {name} again",
  "upload.dismiss": "Remove {name} from this list",
  "upload.phase.queued": "Queued",
  "upload.phase.paused": "Paused at {percent}",
  "upload.phase.waiting": "Tries again",
  "upload.phase.missing": "Interrupted",
  "upload.missing": "Choose this file again to continue where it stopped.",
  "upload.failed.retryable": "It may work another time: try again.",
  "upload.failed.final": "The same file would fail again: upload another one.",
  "upload.problem.unsupported_format": "Not an image that can be read here. Choose one of the formats above.",
  "upload.problem.empty_file": "The file is empty. Choose another one.",
  "upload.problem.file_too_large": "Larger than {size}. Choose a smaller one, or raise MAX_UPLOAD_BYTES.",
  "upload.problem.unauthorized": "You are logged out. Log in, then try again.",
  "upload.problem.forbidden": "The gateway refused this upload. Look at its log.",
  "upload.problem.invalid_request": "The gateway did not accept this file. Look at its log.",
  "upload.problem.upload_gone": "The unfinished upload was dropped. It starts over.",
  "upload.problem.busy": "The gateway has too much to do just now.",
  "upload.problem.connection": "The connection was lost.",
  "upload.problem.store_refused": "The object store refused the file. Try again.",

  // Settings
  "settings.title": "Settings",
  "settings.auto": "Automatic",
  "settings.appearance": "Appearance",
  "settings.theme": "Theme",
  "settings.theme.light": "Light",
  "settings.theme.dark": "Dark",
  "settings.language": "Language",
  "settings.access": "Access",
  "settings.access.open": "This system needs no API key: everyone who can reach it has access. Set API_KEYS to change that.",
  "settings.access.until": "You are logged in. The session ends",
  "settings.limits": "Limits of uploads",
  "settings.limits.size": "Largest file:",
  "settings.limits.formats": "Formats:",
  "settings.keys": "Keyboard",
  "settings.keys.on": "Single keys go to pages",
  "settings.api": "API",
  "settings.api.hint": "This console uses the public API alone. Whatever it does, a program can do, too.",
  "settings.api.docs": "API docs",

  ...gallery,
  ...image,
  ...failures,
  ...operations,
} as const satisfies Record<string, Text>;

export type Key = keyof typeof en;
export type Texts = Readonly<Record<Key, Text>>;
