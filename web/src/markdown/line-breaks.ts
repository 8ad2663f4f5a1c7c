import type { Nodes, PhrasingContent, Root } from "mdast";

/** A new line in an answer is one on the page: models, small ones above all, write verses and addresses so. */
export function lineBreaks() {
  return (tree: Root): void => breakIn(tree);
}

function breakIn(node: Nodes): void {
  if (!("children" in node)) return;
  const children = node.children.flatMap<Nodes>((child) => {
    if (child.type !== "text") {
      breakIn(child);
      return [child];
    }
    return child.value.includes("\n") ? linesOf(child.value) : [child];
  });
  node.children = children as typeof node.children;
}

function linesOf(text: string): PhrasingContent[] {
  return text
    .split("\n")
    .flatMap<PhrasingContent>((value, index) => [
      ...(index > 0 ? [{ type: "break" } as const] : []),
      ...(value ? [{ type: "text", value } as const] : []),
    ]);
}
