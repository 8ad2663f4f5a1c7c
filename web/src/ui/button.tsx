import { clsx } from "clsx";
import { Slot } from "radix-ui";
import type { ComponentProps } from "react";

type Look = "solid" | "soft" | "plain" | "danger";

const LOOKS: Record<Look, string> = {
  solid: "bg-accent text-accent-ink hover:bg-accent-hover",
  soft: "border border-line bg-raised text-ink hover:bg-hover",
  plain: "text-soft hover:bg-hover hover:text-ink",
  danger: "border border-danger text-danger hover:bg-danger-soft",
};

export interface ButtonProps extends ComponentProps<"button"> {
  look?: Look;
  size?: "medium" | "small" | "icon";
  /** Give the looks to the one child, such as a link. */
  asChild?: boolean;
}

const SIZES = {
  medium: "h-10 px-4 text-sm gap-2",
  small: "h-8 pointer-coarse:min-h-10 px-3 text-sm gap-1.5 whitespace-nowrap",
  icon: "size-9 pointer-coarse:min-h-10 pointer-coarse:min-w-10 shrink-0",
};

/** A button; one that shows only an icon needs an aria-label. */
export function Button({ look = "soft", size = "medium", asChild = false, className, type, ...rest }: ButtonProps) {
  const Element = asChild ? Slot.Root : "button";
  return (
    <Element
      {...(asChild ? {} : { type: type ?? "button" })}
      className={clsx(
        "inline-flex cursor-pointer items-center justify-center rounded-lg font-medium transition-colors select-none",
        "disabled:pointer-events-none disabled:opacity-50",
        LOOKS[look],
        SIZES[size],
        className,
      )}
      {...rest}
    />
  );
}
