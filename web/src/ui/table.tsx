/** A table that becomes a list of cards where it is too narrow for columns. */

import { clsx } from "clsx";
import type { ReactNode } from "react";

export interface Column<Row> {
  id: string;
  title: string;
  cell: (row: Row) => ReactNode;
  /** Figures stand at the right, one below the other. */
  numeric?: boolean;
  /** Its title is only for screen readers: what it holds explains itself. */
  quiet?: boolean;
}

interface TableProps<Row> {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  id: (row: Row) => string;
}

export function Table<Row>({ caption, columns, rows, id }: TableProps<Row>) {
  // The roles are said again, since browsers forget them where a table is not laid out as one.
  return (
    <div className="@container relative overflow-x-auto">
      <table role="table" className="block w-full text-sm @xl:table @xl:border-collapse">
        <caption className="sr-only">{caption}</caption>
        <thead role="rowgroup" className="sr-only @xl:not-sr-only @xl:table-header-group">
          <tr role="row" className="border-b border-line text-left text-soft">
            {columns.map((column) => (
              <th
                key={column.id}
                role="columnheader"
                scope="col"
                className={clsx(
                  "px-3 py-2 font-medium whitespace-nowrap first:pl-0 last:pr-0",
                  column.numeric && "text-right",
                )}
              >
                {column.quiet ? <span className="sr-only">{column.title}</span> : column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup" className="block divide-y divide-line @xl:table-row-group">
          {rows.map((row) => (
            <tr key={id(row)} role="row" className="flex flex-col gap-1.5 py-3 @xl:table-row">
              {columns.map((column) => (
                <td
                  key={column.id}
                  role="cell"
                  className={clsx(
                    "flex min-w-0 items-baseline justify-between gap-4 empty:hidden @xl:table-cell @xl:px-3 @xl:py-2.5 @xl:align-middle @xl:first:pl-0 @xl:last:pr-0",
                    column.numeric && "tabular-nums",
                  )}
                >
                  {!column.quiet && (
                    <span aria-hidden className="shrink-0 text-soft @xl:hidden">
                      {column.title}
                    </span>
                  )}
                  <div
                    className={clsx(
                      // In columns words stay whole: a column that breaks them shrinks to a letter.
                      "min-w-0 wrap-anywhere @xl:wrap-break-word @xl:**:wrap-break-word",
                      column.quiet ? "grow" : "text-right",
                      column.numeric ? "@xl:text-right" : "@xl:text-left",
                    )}
                  >
                    {column.cell(row)}
                  </div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
