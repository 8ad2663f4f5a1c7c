import { useQuery } from "@tanstack/react-query";
import { Archive, Download, Ellipsis, Folder, FolderPlus, Pencil, Pin, PinOff, Share2, Trash2 } from "lucide-react";
import { useRef } from "react";
import { useTranslation } from "react-i18next";

import type { ListedConversation } from "@/api/generated/types.gen";
import { withQuery } from "@/api/http";
import { useChanges } from "@/sidebar/changes";
import { useFolderActions } from "@/sidebar/folder-changes";
import { foldersQuery } from "@/sidebar/queries";
import { Button } from "@/ui/button";
import { Menu, MenuChoice, MenuGroup, MenuItem, MenuLink, MenuSeparator } from "@/ui/menu";

const NO_FOLDER = "";
const FORMS = ["markdown", "json", "chatgpt", "sharegpt", "messages"] as const;

interface ConversationMenuProps {
  conversation: ListedConversation;
  title: string;
  onRename: () => void;
  onShare: () => void;
}

export function ConversationMenu({ conversation, title, onRename, onShare }: ConversationMenuProps) {
  const { t } = useTranslation();
  const { change, archive, remove } = useChanges();
  const renames = useRef(false);
  const PinIcon = conversation.pinned ? PinOff : Pin;
  return (
    <Menu
      align="start"
      onOpenChange={(open) => open && (renames.current = false)}
      // The field for the new name has the keyboard then, and keeps it.
      onCloseAutoFocus={(event) => renames.current && event.preventDefault()}
      trigger={
        <Button
          look="plain"
          size="icon"
          aria-label={t("sidebar.optionsOf", { title })}
          className="absolute top-0.5 right-0.5 size-8 -outline-offset-2 group-focus-within:opacity-100 group-hover:opacity-100 focus-visible:opacity-100 data-[state=open]:opacity-100 max-md:size-10 md:opacity-0 pointer-coarse:opacity-100"
        >
          <Ellipsis className="size-4" aria-hidden />
        </Button>
      }
    >
      <MenuItem icon={<Share2 className="size-4" aria-hidden />} onSelect={onShare}>
        {t("sidebar.share")}
      </MenuItem>
      <MenuItem
        icon={<Pencil className="size-4" aria-hidden />}
        onSelect={() => {
          renames.current = true;
          onRename();
        }}
      >
        {t("sidebar.rename")}
      </MenuItem>
      <MenuItem
        icon={<PinIcon className="size-4" aria-hidden />}
        onSelect={() => void change(conversation, { pinned: !conversation.pinned })}
      >
        {t(conversation.pinned ? "sidebar.unpin" : "sidebar.pin")}
      </MenuItem>
      <MenuGroup icon={<Folder className="size-4" aria-hidden />} label={t("sidebar.move")}>
        <Folders conversation={conversation} />
      </MenuGroup>
      <MenuGroup icon={<Download className="size-4" aria-hidden />} label={t("sidebar.export")}>
        {FORMS.map((format) => (
          <MenuLink key={format}>
            <a href={withQuery(`/api/conversations/${conversation.id}/export`, { format })} download>
              {t(`sidebar.forms.${format}`)}
            </a>
          </MenuLink>
        ))}
      </MenuGroup>
      <MenuSeparator />
      <MenuItem icon={<Archive className="size-4" aria-hidden />} onSelect={() => void archive(conversation)}>
        {t("sidebar.archive")}
      </MenuItem>
      <MenuItem danger icon={<Trash2 className="size-4" aria-hidden />} onSelect={() => void remove(conversation)}>
        {t("common.delete")}
      </MenuItem>
    </Menu>
  );
}

function Folders({ conversation }: { conversation: ListedConversation }) {
  const { t } = useTranslation();
  const { data: folders = [] } = useQuery(foldersQuery);
  const { change } = useChanges();
  const { create } = useFolderActions();
  const move = (id: string) => void change(conversation, { folder_id: id === NO_FOLDER ? null : id });
  return (
    <>
      <MenuChoice
        value={conversation.folder_id ?? NO_FOLDER}
        onChoose={move}
        choices={[
          ...folders.map(({ id, name }) => ({ value: id, label: name })),
          { value: NO_FOLDER, label: t("sidebar.noFolder") },
        ]}
      />
      <MenuSeparator />
      <MenuItem
        icon={<FolderPlus className="size-4" aria-hidden />}
        onSelect={() => void create(t("sidebar.newFolder")).then((folder) => folder && move(folder.id))}
      >
        {t("sidebar.newFolder")}
      </MenuItem>
    </>
  );
}
