/** Where the arrow keys lead among the tokens of a text. */

/** The element that `key` leads to from `from`, among its siblings; null where the key means nothing or leads nowhere. */
export function tokenBeside(from: HTMLElement, key: string): HTMLElement | null {
  const parent = from.parentElement;
  switch (key) {
    case "ArrowRight":
      return asElement(from.nextElementSibling);
    case "ArrowLeft":
      return asElement(from.previousElementSibling);
    case "Home":
      return asElement(parent?.firstElementChild);
    case "End":
      return asElement(parent?.lastElementChild);
    case "ArrowDown":
      return onNextLine(from, (element) => element.nextElementSibling, 1);
    case "ArrowUp":
      return onNextLine(from, (element) => element.previousElementSibling, -1);
    default:
      return null;
  }
}

const asElement = (element: Element | null | undefined) => (element instanceof HTMLElement ? element : null);

/** The nearest token on the line below (direction 1) or above (-1). */
function onNextLine(from: HTMLElement, step: (element: Element) => Element | null, direction: 1 | -1) {
  const { left, top } = from.getBoundingClientRect();
  let best: HTMLElement | null = null;
  let line: number | null = null;
  let distance = Infinity;
  for (let element = step(from); element; element = step(element)) {
    const place = element.getBoundingClientRect();
    if ((place.top - top) * direction <= 2) continue; // still on the same line
    line ??= place.top;
    if (Math.abs(place.top - line) > 2) break;
    if (Math.abs(place.left - left) < distance) {
      distance = Math.abs(place.left - left);
      best = asElement(element);
    }
  }
  return best;
}
