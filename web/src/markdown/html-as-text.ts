import type { Nodes, Root } from "mdast";

/** HTML in an answer is shown as the text it is: nothing that a model writes becomes markup of the page. */
export function htmlAsText() {
  return (tree: Root): void => showIn(tree);
}

function showIn(node: Nodes): void {
  if (!("children" in node)) return;
  node.children.forEach((child, index) => {
    if (child.type !== "html") {
      showIn(child);
      return;
    }
    const text = { type: "text", value: child.value } as const;
    const isBlock = node.type !== "paragraph" && node.type !== "heading" && node.type !== "tableCell";
    const inPlace = isBlock && !isPhrasing(node) ? ({ type: "paragraph", children: [text] } as const) : text;
    (node.children as Nodes[])[index] = inPlace as Nodes;
  });
}

const isPhrasing = (node: Nodes) => ["emphasis", "strong", "delete", "link", "linkReference"].includes(node.type);
