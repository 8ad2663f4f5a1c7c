/** A ZIP as ChatGPT exports it, with its conversations in shards and files beside them that are not for us. */

import { crc32 } from "node:zlib";

interface Said {
  role: "user" | "assistant";
  text: string;
}

export interface Exported {
  title: string;
  said: Said[];
}

const BEGUN = 1_700_000_000.5;

export function chatgptZip(conversations: readonly Exported[]): Buffer {
  const half = Math.ceil(conversations.length / 2);
  const shards = [conversations.slice(0, half), conversations.slice(half)];
  return zip({
    "user.json": JSON.stringify({ id: "user-1", email: "someone@example.org" }),
    "chat.html": "<html><body>export</body></html>",
    ...Object.fromEntries(
      shards.map((shard, index) => [
        `conversations-00${index}.json`,
        JSON.stringify(shard.map((one, at) => conversation(one, index * half + at))),
      ]),
    ),
  });
}

function conversation({ title, said }: Exported, index: number) {
  const ids = ["root", ...said.map((_, at) => `node-${at}`)];
  const mapping = Object.fromEntries(
    ids.map((id, at) => {
      const one = said[at - 1];
      return [
        id,
        {
          id,
          parent: ids[at - 1] ?? null,
          children: ids.slice(at + 1, at + 2),
          message: one ? message(one, at) : null,
        },
      ];
    }),
  );
  return {
    title,
    create_time: BEGUN,
    update_time: BEGUN + 60,
    mapping,
    current_node: ids.at(-1),
    conversation_id: `conversation-${index}`,
    default_model_slug: "gpt-4o",
  };
}

const message = ({ role, text }: Said, at: number) => ({
  id: `message-${at}`,
  author: { role, name: null, metadata: {} },
  create_time: BEGUN + at,
  content: { content_type: "text", parts: [text] },
  status: "finished_successfully",
  weight: 1,
  recipient: "all",
  metadata: role === "assistant" ? { model_slug: "gpt-4o" } : {},
});

/** A ZIP whose entries are stored as they are. */
function zip(files: Readonly<Record<string, string>>): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const [path, data] = [Buffer.from(name), Buffer.from(text)];
    const common = Buffer.alloc(26); // from "version needed" to the length of the extra field, the same in both headers
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(path.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, path, data]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    centrals.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, rest, path]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(locals.length, 8);
  end.writeUInt16LE(locals.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
