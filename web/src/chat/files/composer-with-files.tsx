import { Composer, type ComposerProps } from "@/chat/composer";
import { AttachButton } from "@/chat/files/attach-button";
import type { Attachments } from "@/chat/files/attachments";
import { FileChips } from "@/chat/files/file-chips";

interface Props extends Omit<ComposerProps, "children" | "onFiles"> {
  attachments: Attachments;
}

/** A composer whose messages may take files along. */
export function ComposerWithFiles({ attachments, disabled = false, tools, ...rest }: Props) {
  return (
    <Composer
      {...rest}
      disabled={disabled || attachments.blocks}
      onFiles={attachments.add}
      tools={
        <>
          <AttachButton onFiles={attachments.add} />
          {tools}
        </>
      }
    >
      <FileChips attachments={attachments} />
    </Composer>
  );
}
