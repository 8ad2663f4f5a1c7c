import { afterEach, expect, test, vi } from "vitest";

import { beginJob, type Wish } from "@/admin/jobs/begin";

const WISH: Wish = {
  model: "tiny",
  method: "dpo",
  training: new File(["{}"], "pairs.jsonl"),
  validation: new File(["{}"], "held-out.jsonl"),
  epochs: null,
  suffix: "",
};

afterEach(() => vi.unstubAllGlobals());

/** A server that keeps files, and answers to the job as it is told. */
function serve(job: () => Response): string[] {
  const asked: string[] = [];
  let files = 0;
  const answer = (path: string, { method = "GET", body }: RequestInit) => {
    asked.push(`${method} ${path}${typeof body === "string" ? ` ${body}` : ""}`);
    return Promise.resolve(
      path === "/v1/fine_tuning/jobs" ? job() : Response.json({ id: `file-${method === "POST" ? ++files : ""}` }),
    );
  };
  vi.stubGlobal("fetch", answer);
  return asked;
}

test("a job names the files that were uploaded for it", async () => {
  const asked = serve(() => Response.json({ id: "ftjob-1" }));
  expect((await beginJob(WISH)).id).toBe("ftjob-1");
  expect(asked.slice(0, 2)).toEqual(["POST /v1/files", "POST /v1/files"]);
  expect(JSON.parse(asked[2]?.replace("POST /v1/fine_tuning/jobs ", "") ?? "")).toEqual({
    model: "tiny",
    training_file: "file-1",
    validation_file: "file-2",
    method: { type: "dpo", dpo: { hyperparameters: { n_epochs: "auto" } } },
  });
});

test("files of a job that is refused are not left behind", async () => {
  const asked = serve(() => Response.json({ error: { message: "no such model" } }, { status: 404 }));
  await expect(beginJob(WISH)).rejects.toThrow("no such model");
  expect(asked.slice(3)).toEqual(["DELETE /v1/files/file-1", "DELETE /v1/files/file-2"]);
});
