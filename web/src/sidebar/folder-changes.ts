import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import type { FolderView } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { unfold } from "@/app/shell-state";
import { foldersQuery } from "@/sidebar/queries";
import { confirm } from "@/ui/confirm";
import { tellError } from "@/ui/toast";

export interface FolderActions {
  /** The new folder; null where the server refused. */
  create: (name: string) => Promise<FolderView | null>;
  rename: (folder: FolderView, name: string) => Promise<void>;
  remove: (folder: FolderView) => Promise<void>;
}

export function useFolderActions(): FolderActions {
  const queries = useQueryClient();
  const { t } = useTranslation();
  return useMemo(() => {
    const draw = (change: (folders: FolderView[]) => FolderView[]) =>
      queries.setQueryData(foldersQuery.queryKey, (known = []) => change(known));
    const refused = (error: unknown) => {
      tellError(error, t("app.offline"));
      void queries.invalidateQueries({ queryKey: foldersQuery.queryKey });
    };
    return {
      create: async (name) => {
        try {
          const folder = await request<FolderView>("/api/folders", { method: "POST", body: { name } });
          draw((folders) => [...folders, folder]);
          unfold(folder.id, true);
          void queries.invalidateQueries({ queryKey: foldersQuery.queryKey });
          return folder;
        } catch (error) {
          refused(error);
          return null;
        }
      },
      rename: async ({ id }, name) => {
        draw((folders) => folders.map((folder) => (folder.id === id ? { ...folder, name } : folder)));
        try {
          await request(`/api/folders/${id}`, { method: "PATCH", body: { name } });
        } catch (error) {
          refused(error);
        }
      },
      remove: async ({ id, name }) => {
        const wanted = await confirm({
          title: t("sidebar.deleteFolderTitle", { name }),
          text: t("sidebar.deleteFolderText"),
          action: t("common.delete"),
        });
        if (!wanted) return;
        try {
          await request(`/api/folders/${id}`, { method: "DELETE" });
        } catch (error) {
          refused(error);
          return;
        }
        draw((folders) => folders.filter((folder) => folder.id !== id));
        unfold(id, false);
        void queries.invalidateQueries({ queryKey: ["conversations"] });
      },
    };
  }, [queries, t]);
}
