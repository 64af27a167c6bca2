/** The components that pages are made of. README.md describes each in a line. */

export { Button } from "./Button";
export { Code } from "./Code";
export { ConfirmDialog } from "./ConfirmDialog";
export { CopyButton } from "./CopyButton";
export { Dialog } from "./Dialog";
export { EmptyState } from "./EmptyState";
export { ErrorState } from "./ErrorState";
export { Icon, type IconName } from "./Icon";
export { Page } from "./Page";
export { Picture, variantOf } from "./Picture";
export { Skeleton } from "./Skeleton";
export { Sparkline } from "./Sparkline";
export { shownStatus, StatusChip } from "./StatusChip";
export { type Column, Table } from "./Table";
export { Thumbhash } from "./Thumbhash";
export { Time } from "./Time";
