import { useTranslation } from "react-i18next";
import type { ReactNode } from "react";

import type { Rows } from "@/api/pages";
import { Button } from "@/ui/button";
import { Empty, Failed, Loading } from "@/ui/load";
import { Table, type Column } from "@/ui/table";

interface RowListProps<Row> {
  list: Rows<Row>;
  caption: string;
  columns: readonly Column<Row>[];
  id: (row: Row) => string;
  /** What is said where there is no row. */
  empty: ReactNode;
}

/** A table of a list that comes in pages. */
export function RowList<Row>({ list, caption, columns, id, empty }: RowListProps<Row>) {
  const { t } = useTranslation();
  if (list.isPending) return <Loading />;
  if (list.error) return <Failed error={list.error} retry={list.retry} />;
  if (list.rows.length === 0) return <Empty>{empty}</Empty>;
  return (
    <div className="flex flex-col gap-3">
      <Table caption={caption} columns={columns} rows={list.rows} id={id} />
      {list.more && (
        <Button className="self-center" onClick={list.more} disabled={list.isLoadingMore}>
          {t("common.more")}
        </Button>
      )}
    </div>
  );
}
