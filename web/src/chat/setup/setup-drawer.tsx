/** Who the model should be, and how it chooses its words. Slides in at the right. */

import { ChevronDown, X } from "lucide-react";
import { Dialog } from "radix-ui";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { NumberRow } from "@/chat/setup/number-row";
import {
  areStopsFine,
  NUMBER_NAMES,
  samplingOf,
  textsOf,
  type NumberName,
  type SamplingTexts,
} from "@/chat/setup/parameters";
import { Personas } from "@/chat/setup/personas";
import type { ChangeSetup, ChatSetup } from "@/chat/setup/setup";
import { Button } from "@/ui/button";
import { FormButtons } from "@/ui/form-buttons";
import { SelectField, TextArea } from "@/ui/form";

const FIRST: readonly NumberName[] = ["temperature", "top_p", "max_tokens"];
const SLIDERS: readonly NumberName[] = ["temperature", "top_p"];
const REST = NUMBER_NAMES.filter((name) => !FIRST.includes(name));
const MAX_PROMPT_LENGTH = 100_000;

interface SetupDrawerProps {
  setup: ChatSetup;
  onSetup: ChangeSetup;
  onClose: () => void;
}

export function SetupDrawer({ setup, onSetup, onClose }: SetupDrawerProps) {
  const { t } = useTranslation();
  const [prompt, setPrompt] = useState(setup.system_prompt);
  const [texts, setTexts] = useState(() => textsOf(setup.sampling));
  const sampling = samplingOf(texts);
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 animate-fade-in bg-black/40" />
        <Dialog.Content className="fixed inset-y-0 right-0 z-50 flex w-[28rem] max-w-full flex-col border-l border-line bg-raised shadow-xl outline-none">
          <header className="flex items-start justify-between gap-4 px-5 pt-4 pb-3">
            <div>
              <Dialog.Title className="text-lg font-semibold">{t("chat.persona.title")}</Dialog.Title>
              <Dialog.Description className="mt-1 text-sm text-soft">
                {t("chat.persona.description")}
              </Dialog.Description>
            </div>
            <Dialog.Close asChild>
              <Button look="plain" size="icon" className="max-md:size-10" aria-label={t("common.close")}>
                <X className="size-5" aria-hidden />
              </Button>
            </Dialog.Close>
          </header>
          <form
            className="flex min-h-0 grow flex-col"
            onSubmit={(event) => {
              event.preventDefault();
              if (!sampling) return;
              onSetup({ system_prompt: prompt, sampling });
              onClose();
            }}
          >
            <div className="flex min-h-0 grow flex-col gap-6 overflow-y-auto px-5 pt-1 pb-6">
              <Personas prompt={prompt} onChoose={setPrompt} />
              <TextArea
                label={t("chat.persona.prompt")}
                hint={t("chat.persona.promptHint")}
                rows={6}
                maxLength={MAX_PROMPT_LENGTH}
                value={prompt}
                onChange={(event) => setPrompt(event.target.value)}
              />
              <SamplingFields texts={texts} onChange={setTexts} />
            </div>
            <div className="border-t border-line px-5 py-3 pb-[max(0.75rem,env(safe-area-inset-bottom))]">
              <FormButtons action={t("common.save")} disabled={sampling === null} onCancel={onClose} />
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

interface SamplingFieldsProps {
  texts: SamplingTexts;
  onChange: (texts: SamplingTexts) => void;
}

function SamplingFields({ texts, onChange }: SamplingFieldsProps) {
  const { t } = useTranslation();
  const row = (name: NumberName) => (
    <NumberRow
      key={name}
      name={name}
      text={texts.numbers[name]}
      onChange={(text) => onChange({ ...texts, numbers: { ...texts.numbers, [name]: text } })}
      slider={SLIDERS.includes(name)}
    />
  );
  return (
    <section aria-labelledby="sampling-title" className="flex flex-col gap-5">
      <header className="flex items-start justify-between gap-4 border-t border-line pt-5">
        <div>
          <h3 id="sampling-title" className="font-semibold">
            {t("chat.persona.sampling")}
          </h3>
          <p className="mt-0.5 text-sm text-soft">{t("chat.persona.samplingHint")}</p>
        </div>
        <Button size="small" className="shrink-0 max-md:h-10" onClick={() => onChange(textsOf({}))}>
          {t("chat.persona.reset")}
        </Button>
      </header>
      {FIRST.map(row)}
      <details className="group">
        <summary className="flex min-h-10 cursor-pointer list-none items-center gap-1 rounded-lg text-sm font-medium [&::-webkit-details-marker]:hidden">
          <ChevronDown className="size-4 -rotate-90 transition-transform group-open:rotate-0" aria-hidden />
          {t("chat.persona.more")}
        </summary>
        <div className="mt-3 flex flex-col gap-5">
          {REST.map(row)}
          <TextArea
            label={t("chat.persona.stop")}
            hint={t("chat.persona.stopHint")}
            error={areStopsFine(texts.stop) ? undefined : t("chat.persona.stopBad")}
            rows={2}
            value={texts.stop}
            onChange={(event) => onChange({ ...texts, stop: event.target.value })}
          />
          <SelectField
            label={t("chat.persona.thinking")}
            value={texts.thinking}
            choices={(["advised", "on", "off"] as const).map((value) => ({
              value,
              label: t(`chat.persona.thinkingChoices.${value}`),
            }))}
            onChange={(thinking) => onChange({ ...texts, thinking })}
          />
        </div>
      </details>
    </section>
  );
}
