import { createContext, startTransition, useEffect, useState, type RefObject } from "react";

/**
 * Whether texts here are likely out of sight at first. They stay plain until somebody comes near: a thread of a
 * thousand messages opens seconds sooner when most of them are not parsed.
 */
export const Far = createContext(false);

/** Whether an element is, or once was, about to be seen; one that is not far from the start always is. */
export function useNear(element: RefObject<Element | null>, far: boolean): boolean {
  const [near, setNear] = useState(!far);
  useEffect(() => {
    const watched = element.current;
    if (near || !watched) return;
    return whenNear(watched, () => startTransition(() => setNear(true)));
  }, [near, element]);
  return near;
}

const waiting = new Map<Element, () => void>();
let observer: IntersectionObserver | undefined;

function whenNear(element: Element, come: () => void): () => void {
  // "scrollMargin" reaches beyond the edges of what scrolls inside the page, "rootMargin" only beyond the window's.
  observer ??= new IntersectionObserver(announce, { rootMargin: "100% 0%", scrollMargin: "200%" });
  waiting.set(element, come);
  observer.observe(element);
  return () => {
    waiting.delete(element);
    observer?.unobserve(element);
  };
}

function announce(entries: IntersectionObserverEntry[]): void {
  for (const { isIntersecting, target } of entries) if (isIntersecting) waiting.get(target)?.();
}
