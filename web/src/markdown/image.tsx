import { ImageOff } from "lucide-react";
import type { ComponentProps } from "react";
import { useTranslation } from "react-i18next";

/**
 * An image in an answer. Fetching one from elsewhere would tell its host that, when and by whom the answer is read, and
 * whatever the model was made to write into the address: it is named, and opens only when somebody asks for it.
 */
export function Image({ src, alt }: ComponentProps<"img">) {
  const { t } = useTranslation();
  const address = typeof src === "string" ? src : "";
  if (/^data:image\/(png|jpeg|gif|webp);base64,/i.test(address)) {
    return <img src={address} alt={alt ?? ""} className="my-2 max-h-96 max-w-full rounded-lg" />;
  }
  const host = hostOf(address);
  return (
    <span className="my-1 inline-flex max-w-full flex-wrap items-center gap-2 rounded-lg border border-line bg-sunken px-3 py-2 text-sm">
      <ImageOff className="size-4 shrink-0 text-soft" aria-hidden />
      <span className="text-soft">{alt || t("markdown.image")}</span>
      {host !== null && (
        <a
          href={address}
          target="_blank"
          rel="noopener noreferrer nofollow"
          className="font-medium text-accent underline underline-offset-2"
        >
          {t("markdown.openImage", { host })}
        </a>
      )}
    </span>
  );
}

function hostOf(address: string): string | null {
  try {
    const { protocol, host } = new URL(address);
    return protocol === "https:" || protocol === "http:" ? host : null;
  } catch {
    return null;
  }
}
