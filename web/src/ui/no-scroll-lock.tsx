/** Stands in for the package `react-remove-scroll` that Radix' windows and menus use; see vite.config.ts. */

import type { ComponentProps, ElementType } from "react";

interface RemoveScrollProps extends ComponentProps<"div"> {
  as?: ElementType;
  allowPinchZoom?: boolean;
  shards?: unknown;
}

/** Its child, which scrolls as it likes. */
export function RemoveScroll({ as: Element = "div", allowPinchZoom: _, shards: __, ...rest }: RemoveScrollProps) {
  return <Element {...rest} />;
}
