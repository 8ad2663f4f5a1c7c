import { FileText, LoaderCircle, TriangleAlert, X } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { AttachedFile, Attachments } from "@/chat/files/attachments";
import { useFormats } from "@/ui/formats";

/** The files above the text, each with its tokens, and why some of them cannot go along. */
export function FileChips({ attachments }: { attachments: Attachments }) {
  const { t } = useTranslation();
  const { number } = useFormats();
  const { files, excess, remove } = attachments;
  if (files.length === 0) return null;
  const refused = files.flatMap((file) => (file.state === "refused" ? [file] : []));
  return (
    <div className="px-1 pb-2">
      <ul aria-label={t("chat.files.list")} className="flex flex-wrap gap-2">
        {files.map((file) => (
          <Chip key={file.id} file={file} onRemove={() => remove(file.id)} />
        ))}
      </ul>
      <div role="alert" className="text-sm text-danger">
        {refused.map(({ id, name, why }) => (
          <p key={id} className="mt-2 wrap-anywhere">
            <span className="font-medium">{name}</span>: {why}
          </p>
        ))}
        {excess && (
          <p className="mt-2">
            {t("chat.files.together", {
              tokens: number(excess.tokens),
              limit: number(excess.limit),
              model: excess.model,
            })}
          </p>
        )}
      </div>
    </div>
  );
}

const ICONS = { reading: LoaderCircle, read: FileText, refused: TriangleAlert };

function Chip({ file, onRemove }: { file: AttachedFile; onRemove: () => void }) {
  const { t } = useTranslation();
  const { number } = useFormats();
  const Icon = ICONS[file.state];
  return (
    <li
      className={`flex max-w-full min-w-0 items-center gap-2 rounded-lg border py-1 pr-1 pl-2.5 text-sm ${file.state === "refused" ? "border-danger text-danger" : "border-line bg-sunken"}`}
    >
      <Icon className={`size-4 shrink-0 ${file.state === "reading" ? "animate-spin" : ""}`} aria-hidden />
      <span className="min-w-0 truncate">{file.name}</span>
      {file.state === "reading" && (
        <span role="status" className="sr-only">
          {t("chat.files.reading", { name: file.name })}
        </span>
      )}
      {file.state === "read" && (
        <span className="shrink-0 text-soft tabular-nums">
          {t("chat.files.tokens", { count: file.view.tokens, formatted: number(file.view.tokens) })}
        </span>
      )}
      <button
        type="button"
        onClick={onRemove}
        aria-label={t("chat.files.remove", { name: file.name })}
        className="flex size-7 shrink-0 cursor-pointer items-center justify-center rounded-md text-soft hover:bg-hover hover:text-ink max-md:size-10"
      >
        <X className="size-4" aria-hidden />
      </button>
    </li>
  );
}
