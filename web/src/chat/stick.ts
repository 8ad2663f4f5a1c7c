import { useEffect, useRef, useState, type RefObject } from "react";

const NEAR_PX = 64;

interface Stick {
  /** Whether the end is out of sight. */
  away: boolean;
  toEnd: (behavior?: ScrollBehavior) => void;
}

/** Keeps the end of growing content in view, unless the reader has scrolled up; then it lets go until they return. */
export function useStickToEnd(view: RefObject<HTMLElement | null>, content: RefObject<HTMLElement | null>): Stick {
  const [away, setAway] = useState(false);
  const sticks = useRef(true);

  const toEnd = (behavior: ScrollBehavior = "instant") => {
    sticks.current = true;
    view.current?.scrollTo({ top: view.current.scrollHeight, behavior });
  };

  useEffect(() => {
    const element = view.current;
    const inner = content.current;
    if (!element || !inner) return;
    let last = element.scrollTop;
    const scrolled = () => {
      const near = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
      // Only the reader scrolls up: growth and our own scrolling never lessen the distance from the top.
      if (element.scrollTop < last - 1) sticks.current = false;
      if (near) sticks.current = true;
      last = element.scrollTop;
      setAway(!near);
    };
    const grown = new ResizeObserver(() => {
      if (sticks.current) element.scrollTop = element.scrollHeight;
      last = element.scrollTop;
    });
    element.addEventListener("scroll", scrolled, { passive: true });
    grown.observe(inner);
    return () => {
      element.removeEventListener("scroll", scrolled);
      grown.disconnect();
    };
  }, [view, content]);

  return { away, toEnd };
}
