import type { FileObject, JobObject, NewJob } from "@/api/generated/types.gen";
import { request } from "@/api/http";

export type Method = "supervised" | "dpo";

export interface Wish {
  model: string;
  method: Method;
  training: File;
  validation: File | null;
  /** Null: as the data suggests. */
  epochs: number | null;
  suffix: string;
}

/** Upload the files and start the job. What was uploaded for a job that is refused is of no use and goes again. */
export async function beginJob(wish: Wish): Promise<JobObject> {
  const uploaded: string[] = [];
  try {
    for (const file of [wish.training, wish.validation]) if (file) uploaded.push(await upload(file));
    return await request<JobObject>("/v1/fine_tuning/jobs", { method: "POST", body: jobOf(wish, uploaded) });
  } catch (error) {
    for (const id of uploaded) request(`/v1/files/${id}`, { method: "DELETE" }).catch(() => undefined);
    throw error;
  }
}

function jobOf({ model, method, epochs, suffix }: Wish, [training = "", validation]: readonly string[]): NewJob {
  return {
    model,
    training_file: training,
    ...(validation === undefined ? {} : { validation_file: validation }),
    ...(suffix ? { suffix } : {}),
    method: { type: method, [method]: { hyperparameters: { n_epochs: epochs ?? "auto" } } },
  };
}

async function upload(file: File): Promise<string> {
  const form = new FormData();
  form.set("purpose", "fine-tune");
  form.set("file", file);
  return (await request<FileObject>("/v1/files", { method: "POST", form })).id;
}
