import type { ComponentProps } from "react";

/** A link in an answer: opens beside the page, tells nobody where from, and shows where it leads. */
export function Link({ href, children }: ComponentProps<"a">) {
  if (!href || !/^(https?:|mailto:)/i.test(href)) return <span>{children}</span>;
  return (
    <a
      href={href}
      title={href}
      target="_blank"
      rel="noopener noreferrer nofollow"
      className="wrap-anywhere text-accent underline underline-offset-2 hover:text-accent-hover"
    >
      {children}
    </a>
  );
}
