import { ChevronRight, Ellipsis, Folder as FolderIcon, FolderOpen, Pencil, Trash2 } from "lucide-react";
import { useId, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { FolderView } from "@/api/generated/types.gen";
import { unfold, useShell } from "@/app/shell-state";
import { useChanges } from "@/sidebar/changes";
import { ConversationItem } from "@/sidebar/conversation-item";
import { carried, isCarried } from "@/sidebar/drag";
import { useFolderActions } from "@/sidebar/folder-changes";
import { MoreOf, useConversations } from "@/sidebar/more";
import { NameInput } from "@/sidebar/name-input";
import { Button } from "@/ui/button";
import { Menu, MenuItem } from "@/ui/menu";

/** A folder: its name, which unfolds it and takes what is dropped on it, and what lies in it. */
export function FolderSection({ folder }: { folder: FolderView }) {
  const { t } = useTranslation();
  const open = useShell((state) => state.folders.includes(folder.id));
  const { rename } = useFolderActions();
  const { change } = useChanges();
  const [renaming, setRenaming] = useState(false);
  const [aimed, setAimed] = useState(false);
  const contentId = useId();
  const Icon = open ? FolderOpen : FolderIcon;
  if (renaming) {
    return (
      <li>
        <NameInput
          name={folder.name}
          label={t("sidebar.rename")}
          onDone={(name) => {
            setRenaming(false);
            if (name) void rename(folder, name);
          }}
        />
      </li>
    );
  }
  return (
    <li>
      <div
        className={`group relative rounded-lg ${aimed ? "bg-accent-soft" : ""}`}
        onDragOver={(event) => {
          if (!isCarried(event)) return;
          event.preventDefault(); // says that it may be dropped here
          setAimed(true);
        }}
        onDragLeave={() => setAimed(false)}
        onDrop={(event) => {
          setAimed(false);
          const conversation = carried(event);
          if (!conversation) return;
          event.preventDefault();
          void change(conversation, { folder_id: folder.id });
        }}
      >
        <button
          type="button"
          aria-expanded={open}
          aria-controls={contentId}
          onClick={() => unfold(folder.id, !open)}
          className="flex h-9 w-full cursor-pointer items-center gap-2 rounded-lg pr-9 pl-2.5 text-left text-sm -outline-offset-2 group-hover:bg-hover max-md:h-11 max-md:pr-12"
        >
          <Icon className="size-4 shrink-0 text-soft" aria-hidden />
          <span dir="auto" className="truncate">
            {folder.name}
          </span>
          <ChevronRight
            className={`size-3.5 shrink-0 text-soft transition-transform ${open ? "rotate-90" : ""}`}
            aria-hidden
          />
        </button>
        <FolderMenu folder={folder} onRename={() => setRenaming(true)} />
      </div>
      <div id={contentId}>{open && <FolderContent folder={folder} />}</div>
    </li>
  );
}

function FolderMenu({ folder, onRename }: { folder: FolderView; onRename: () => void }) {
  const { t } = useTranslation();
  const { remove } = useFolderActions();
  const renames = useRef(false);
  return (
    <Menu
      align="start"
      onOpenChange={(open) => open && (renames.current = false)}
      onCloseAutoFocus={(event) => renames.current && event.preventDefault()}
      trigger={
        <Button
          look="plain"
          size="icon"
          aria-label={t("sidebar.optionsOf", { title: folder.name })}
          className="absolute top-0.5 right-0.5 size-8 -outline-offset-2 group-focus-within:opacity-100 group-hover:opacity-100 focus-visible:opacity-100 data-[state=open]:opacity-100 max-md:size-10 md:opacity-0 pointer-coarse:opacity-100"
        >
          <Ellipsis className="size-4" aria-hidden />
        </Button>
      }
    >
      <MenuItem
        icon={<Pencil className="size-4" aria-hidden />}
        onSelect={() => {
          renames.current = true;
          onRename();
        }}
      >
        {t("sidebar.rename")}
      </MenuItem>
      <MenuItem danger icon={<Trash2 className="size-4" aria-hidden />} onSelect={() => void remove(folder)}>
        {t("common.delete")}
      </MenuItem>
    </Menu>
  );
}

function FolderContent({ folder }: { folder: FolderView }) {
  const { t } = useTranslation();
  const list = useConversations({ folderId: folder.id });
  return (
    <div className="ml-4 border-l border-line pl-1.5">
      <ul aria-label={folder.name}>
        {list.rows.map((conversation) => (
          <ConversationItem key={conversation.id} conversation={conversation} />
        ))}
      </ul>
      {list.query.isSuccess && list.rows.length === 0 && (
        <p className="px-2.5 py-2 text-sm text-soft">{t("sidebar.emptyFolder")}</p>
      )}
      <MoreOf query={list.query} />
    </div>
  );
}
